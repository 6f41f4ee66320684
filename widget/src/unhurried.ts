// Work that a frame or two may pass over.

/** Milliseconds of each frame: to draw what has been changed in them takes several times as long. */
const SHARE = 2

/** Takes the steps, a few in each frame. */
export async function unhurried(steps: Iterator<unknown>): Promise<void> {
  for (let isOver = false; !isOver; ) {
    await new Promise(requestAnimationFrame)
    const until = performance.now() + SHARE
    do isOver = steps.next().done === true
    while (!isOver && performance.now() < until)
  }
}
