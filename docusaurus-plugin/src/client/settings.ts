/** What a build tells its pages. */

export interface Widget {
  /** Where the element's script is. */
  script: string;
  /** The element's own, as they are written. */
  attributes: {[name: string]: string};
}
