import assert from 'node:assert/strict';
import {test} from 'node:test';

import {validateOptions} from '../src/options';

test('no option has to be given', () => {
  assert.deepEqual(validateOptions({options: undefined}), {id: 'default', manifest: true});
});

test('what is given is kept', () => {
  const options = {id: 'other', revision: 'cafe42', manifest: false};

  assert.deepEqual(validateOptions({options}), options);
});

test('an unknown option is refused by name', () => {
  assert.throws(
    () => validateOptions({options: {revison: 'cafe42'}}),
    /^Error: docusaurus-plugin-askbook: there is no option "revison"; the options are "manifest" and "revision"\.$/,
  );
});

test('a value of the wrong kind is refused in plain words', () => {
  const refusal = (options: unknown) => {
    try {
      validateOptions({options});
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  };

  assert.equal(refusal({manifest: 'yes'}), 'docusaurus-plugin-askbook: "manifest" must be true or false.');
  assert.equal(refusal({revision: 7}), 'docusaurus-plugin-askbook: "revision" must be a string.');
  assert.equal(
    refusal({revision: ''}),
    'docusaurus-plugin-askbook: "revision" is empty: leave it away to let the commit be found.',
  );
});
