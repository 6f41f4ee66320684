import Link from '@docusaurus/Link';
import useBaseUrl from '@docusaurus/useBaseUrl';
import CodeBlock from '@theme/CodeBlock';
import Layout from '@theme/Layout';
import type {ReactNode} from 'react';

import styles from './index.module.css';

const COMMANDS = `make demo                                      # these pages, on http://127.0.0.1:8000
.venv/bin/askbook index ../your-book --force   # then your own, in their place`;

const POINTS = [
  {
    title: 'Answers show their source',
    text: 'A citation carries words copied from your page and a link that lands on them. A link that a model made up cannot come out.',
  },
  {
    title: 'It runs with nothing set',
    text: 'The search engine and the embedding model work inside the process. A Gemini key adds written answers; a Qdrant server adds room.',
  },
  {
    title: 'It says what it lacks',
    text: 'If the model is down you get the passages, and the reason. If nothing in the book comes near a question, you are told so, with the nearest pages.',
  },
];

export default function Home(): ReactNode {
  return (
    <Layout description="Readers of a Docusaurus site ask in their own words. Askbook answers from that site alone and shows the passage.">
      <main className={styles.page}>
        <img className={styles.logo} src={useBaseUrl('/img/logo.svg')} alt="" />
        <h1>Askbook</h1>
        <p className={styles.lead}>
          Readers of your Docusaurus site ask in their own words. Askbook answers from that site alone, streams the
          answer, and shows <mark>the exact passage it stands on</mark>.
        </p>
        <div className={styles.commands}>
          <CodeBlock language="bash">{COMMANDS}</CodeBlock>
        </div>
        <div className={styles.links}>
          <Link className="button button--primary button--lg" to="/docs/getting-started/quick-start">
            Quick start
          </Link>
          <Link className="button button--outline button--primary button--lg" to="/docs/concepts/how-an-answer-is-made">
            How an answer is made
          </Link>
        </div>
        <section className={styles.points} aria-label="In short">
          {POINTS.map(({title, text}) => (
            <div key={title}>
              <h2>{title}</h2>
              <p>{text}</p>
            </div>
          ))}
        </section>
      </main>
    </Layout>
  );
}
