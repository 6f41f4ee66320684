// Where a small box goes beside what it is about, and where the focus goes back to.

export interface Box {
  left: number
  top: number
  width: number
  height: number
}

const GAP = 6
const EDGE = 8

/** Below the anchor if there is room, else above; never over the bounds' edges. All in the same coordinates. */
export function beside(
  anchor: Box,
  size: { width: number; height: number },
  bounds: Box,
): { left: number; top: number } {
  const below = anchor.top + anchor.height + GAP
  const above = anchor.top - size.height - GAP
  const fitsBelow = below + size.height <= bounds.top + bounds.height - EDGE
  const top = fitsBelow || above < bounds.top + EDGE ? below : above
  const furthest = bounds.left + bounds.width - size.width - EDGE
  const left = Math.max(bounds.left + EDGE, Math.min(anchor.left + anchor.width / 2 - size.width / 2, furthest))
  return { left, top }
}

/** The element that has the focus, in whatever shadow tree. */
export function focused(): HTMLElement | null {
  let active: Element | null = document.activeElement
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement
  return active instanceof HTMLElement && active !== document.body ? active : null
}
