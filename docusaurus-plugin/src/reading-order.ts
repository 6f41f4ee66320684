/** The order in which a version's docs are read, and the categories above each. */

import type {LoadedDoc, LoadedVersion, SidebarItem} from './content';
import {byText} from './order';

export interface Standing {
  doc: LoadedDoc;
  breadcrumbs: string[];
}

interface Place {
  sidebar: string;
  step: number;
  breadcrumbs: string[];
}

/**
 * Sidebars one after another, each as it is shown; then the docs in no sidebar, by id. A doc in several sidebars
 * stands in the one it is displayed with.
 */
export function readingOrder({docs, sidebars}: Pick<LoadedVersion, 'docs' | 'sidebars'>): Standing[] {
  const places = new Map<string, Place[]>();
  let step = 0;
  for (const [sidebar, items] of Object.entries(sidebars)) {
    for (const {id, breadcrumbs} of walk(items, [])) {
      places.set(id, [...(places.get(id) ?? []), {sidebar, step: step++, breadcrumbs}]);
    }
  }

  const home = (doc: LoadedDoc): Place | undefined => {
    const all = places.get(doc.id) ?? [];
    return all.find((place) => place.sidebar === doc.sidebar) ?? all[0];
  };
  return docs
    .map((doc) => ({doc, place: home(doc)}))
    .sort(
      (a, b) => (a.place?.step ?? step) - (b.place?.step ?? step) || byText(a.doc.id, b.doc.id),
    )
    .map(({doc, place}) => ({doc, breadcrumbs: place?.breadcrumbs ?? []}));
}

function* walk(items: SidebarItem[], above: string[]): Generator<{id: string; breadcrumbs: string[]}> {
  for (const item of items) {
    if (item.type === 'doc') {
      yield {id: item.id, breadcrumbs: above};
    } else if (item.type === 'category') {
      if (item.link?.type === 'doc') {
        yield {id: item.link.id, breadcrumbs: above};
      }
      yield* walk(item.items, [...above, item.label]);
    }
  }
}
