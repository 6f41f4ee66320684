/** What Docusaurus offers to the modules of its bundle: the part that we use. */

declare module '@generated/globalData' {
  const globalData: {[plugin: string]: {[id: string]: unknown} | undefined};
  export default globalData;
}

declare module '@generated/routes' {
  const routes: import('./follow').Route[];
  export default routes;
}

declare module '@docusaurus/router' {
  export const matchPath: import('./follow').MatchPath;
}
