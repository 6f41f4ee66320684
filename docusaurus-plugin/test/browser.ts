/** As much of a browser as the widget's module touches. */

import Module from 'node:module';

import type {MatchPath, Route} from '../src/client/follow';

/** An element of a page, which is found by the selectors it is given. */
export class FakeElement extends EventTarget {
  readonly attributes: {[name: string]: string} = {};
  readonly dataset: {[name: string]: string} = {};
  readonly did: string[] = [];
  [property: string]: unknown;

  constructor(
    readonly tag: string,
    readonly selectors: string[] = [],
  ) {
    super();
  }

  setAttribute(name: string, value: string): void {
    this.attributes[name] = value;
  }

  closest(selector: string): FakeElement | null {
    return this.selectors.includes(selector) ? this : null;
  }

  click(): void {
    this.did.push('click');
  }

  focus(): void {
    this.did.push('focus');
  }

  remove(): void {
    this.did.push('remove');
  }

  /** What the element of the widget does. */
  open(question?: string): void {
    this.did.push(`open ${question ?? ''}`);
  }
}

export class FakeInput extends FakeElement {
  value = '';
}

export class FakeAnchor extends FakeElement {}

export interface FakePage {
  /** Found by their selectors. */
  elements: FakeElement[];
  scripts: FakeElement[];
  body: FakeElement[];
  /** Whether a script that is loaded defines the element. */
  serves: boolean;
  styles: string[];
  assigned: string[];
  /** Addresses, and what popped. */
  history: string[];
  visit(address: string): void;
  click(target: FakeElement, keys?: Partial<MouseEvent>): Event;
}

/** Puts a page where modules look for it, until the test is over. */
export function fakePage(t: {after: (undo: () => void) => void}, address = 'https://book.example/docs/intro'): FakePage {
  let url = new URL(address);
  let defined = false;
  const page: FakePage = {
    elements: [],
    scripts: [],
    body: [],
    serves: true,
    styles: [],
    assigned: [],
    history: [],
    visit(path) {
      url = new URL(path, url);
    },
    click(target, keys = {}) {
      const event = Object.assign(new Event('click', {cancelable: true}), keys);
      Object.defineProperty(event, 'target', {value: target});
      document.dispatchEvent(event);
      return event;
    },
  };
  const find = (list: string): FakeElement | null =>
    page.elements.find(({selectors}) => list.split(', ').some((one) => selectors.includes(one))) ?? null;
  const enter = (_: unknown, __: string, to: URL): void => {
    page.history.push(to.href);
    page.visit(to.href);
  };
  const events = new EventTarget();
  events.addEventListener('popstate', (event) => page.history.push(`pop ${JSON.stringify((event as PopStateEvent).state)}`));

  const document = Object.assign(new EventTarget(), {
    adoptedStyleSheets: [],
    head: {
      append(script: FakeElement) {
        page.scripts.push(script);
        setImmediate(() => {
          defined ||= page.serves;
          (script[page.serves ? 'onload' : 'onerror'] as () => void)();
        });
      },
    },
    body: {append: (element: FakeElement) => page.body.push(element)},
    createElement: (tag: string) => new FakeElement(tag),
    querySelector: find,
  });
  const globals = {
    document,
    get location() {
      const assign = (to: string) => page.assigned.push(to);
      return Object.assign(new URL(url), {assign});
    },
    history: {
      state: {key: 'abc', of: 'another'},
      pushState: enter,
      replaceState: enter,
    },
    customElements: {get: () => (defined ? FakeElement : undefined)},
    requestIdleCallback: (act: () => void) => setImmediate(act),
    dispatchEvent: (event: Event) => events.dispatchEvent(event),
    CSSStyleSheet: class {
      replaceSync = (css: string) => page.styles.push(css);
    },
    PopStateEvent: class extends Event {
      state: unknown;
      constructor(name: string, {state}: {state: unknown}) {
        super(name);
        this.state = state;
      }
    },
    HTMLInputElement: FakeInput,
    HTMLAnchorElement: FakeAnchor,
  };
  const before = Object.getOwnPropertyDescriptors(globalThis) as {[name: string]: PropertyDescriptor};
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(globals))) {
    Object.defineProperty(globalThis, name, {...descriptor, configurable: true});
  }
  t.after(() => {
    for (const name of Object.keys(globals)) {
      const own = before[name];
      if (own) Object.defineProperty(globalThis, name, own);
      else delete (globalThis as {[name: string]: unknown})[name];
    }
  });
  return page;
}

/** As the router of Docusaurus does it, for paths without parameters. */
export const matchPath: MatchPath = (path, route) => {
  const {path: prefix, exact} = route as Route & {exact?: boolean};
  const [asked, known] = [path, prefix].map((each) => each.replace(/\/$/, ''));
  return known === '*' || asked === known || (!exact && asked?.startsWith(`${known}/`));
};

/** Loads the module anew, with what Docusaurus would have generated for it. */
export function clientModule(generated: {[name: string]: unknown}): {onRouteDidUpdate: () => void} {
  const loader = Module as unknown as {_load: (request: string, ...rest: unknown[]) => unknown};
  const load = loader._load;
  loader._load = (request, ...rest) => (request in generated ? generated[request] : load(request, ...rest));
  try {
    for (const path of Object.keys(require.cache).filter((each) => /[\\/]client[\\/]\w+\.js$/.test(each))) {
      delete require.cache[path];
    }
    return require('../src/client/index') as {onRouteDidUpdate: () => void};
  } finally {
    loader._load = load;
  }
}
