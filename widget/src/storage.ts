// What outlives a page. Where the browser keeps nothing (private mode, blocked storage), memory has to do.

export interface Keeper {
  get(key: string): string | null
  /** `null` removes. */
  set(key: string, value: string | null): void
}

/** `area` is called each time, because already reaching for the storage may throw. */
export function keeper(area: () => Storage, prefix: string): Keeper {
  const memory = new Map<string, string>()
  return {
    get(key) {
      try {
        return area().getItem(prefix + key)
      } catch {
        return memory.get(key) ?? null
      }
    },
    set(key, value) {
      try {
        if (value === null) area().removeItem(prefix + key)
        else area().setItem(prefix + key, value)
      } catch {
        if (value === null) memory.delete(key)
        else memory.set(key, value)
      }
    },
  }
}
