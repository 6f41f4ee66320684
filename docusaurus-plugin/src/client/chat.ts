/** The one `<askbook-chat>` of a site: loaded when the browser has time, kept while the reader goes from page to page. */

import type {Widget} from './settings';

const TAG = 'askbook-chat';

export interface ChatElement extends HTMLElement {
  navigate?: (path: string) => void;
  open(question?: string): void;
}

export interface Chat {
  /** The reader sees another page, or the first one. */
  arrived(): void;
  /** The element, at work. Rejects where it cannot be had; the next call tries again. */
  element(): Promise<ChatElement>;
}

/** `failed` hears of every time that the element cannot be had. */
export function chatOf({script, attributes}: Widget, navigate: (path: string) => void, failed: () => void): Chat {
  let loading: Promise<ChatElement> | undefined;
  let loaded: ChatElement | undefined;
  let begun = false;

  async function load(): Promise<ChatElement> {
    try {
      await define(script);
    } catch (cause) {
      loading = undefined;
      failed();
      throw cause;
    }
    loaded = document.createElement(TAG) as ChatElement;
    for (const [name, value] of Object.entries({...attributes, page: location.pathname})) {
      loaded.setAttribute(name, value);
    }
    loaded.navigate = navigate;
    // Beside what React draws: the pages of the build do not know of it.
    document.body.append(loaded);
    return loaded;
  }

  const element = (): Promise<ChatElement> => (loading ??= load());
  return {
    element,
    arrived() {
      loaded?.setAttribute('page', location.pathname);
      if (!begun) {
        begun = true;
        whenIdle(() => void element().catch(() => {}));
      }
    },
  };
}

function define(src: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const isDefined = (): boolean => customElements.get(TAG) !== undefined;
    if (isDefined()) {
      resolve();
      return;
    }
    const script = document.createElement('script');
    script.src = src;
    script.async = true;
    // Without CORS, a browser does not let a script of another origin load its parts from beside it.
    script.crossOrigin = 'anonymous';
    script.onload = () => (isDefined() ? resolve() : reject(new Error(`${src} defines no ${TAG}`)));
    script.onerror = () => {
      script.remove();
      reject(new Error(`${src} cannot be loaded`));
    };
    document.head.append(script);
  });
}

/** Safari learned of idle times late. */
function whenIdle(act: () => void): void {
  if (typeof requestIdleCallback === 'function') {
    requestIdleCallback(act, {timeout: 4_000});
  } else {
    setTimeout(act, 1_000);
  }
}
