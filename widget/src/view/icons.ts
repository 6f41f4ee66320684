// Paths of line drawings, 24 by 24.

export const BOOK = 'M12 7c-2-1.6-4.6-2-8-2v13c3.4 0 6 .4 8 2 2-1.6 4.6-2 8-2V5c-3.4 0-6 .4-8 2zm0 0v13'
export const ASK = 'M5 4h14q2 0 2 2v9q0 2-2 2h-6l-5 4v-4H5q-2 0-2-2V6q0-2 2-2zM8 9h8M8 13h5'
export const CLOSE = 'M6 6l12 12M18 6L6 18'
export const SEND = 'M12 19V5M6 11l6-6 6 6'
export const STOP = 'M8 8h8v8H8z'
export const ANEW = 'M12 5v14M5 12h14'
export const PAST = 'M3.5 12a8.5 8.5 0 1 0 2.6-6.100L3.5 8.500M3.5 3.500v5h5M12 7.500V12l3 2'
export const BACK = 'M15 5l-7 7 7 7'
export const COPY = 'M9 9h10v11H9zM5 15V4h10'
export const DONE = 'M5 12.500l4.5 4.500L19 7.5'
export const AGAIN = 'M20 12a8 8 0 1 1-2.3-5.700L20 8.500M20 3.500v5h-5'
export const GOOD =
  'M7 21V10l4.5-7a2.5 2.5 0 0 1 2 2.900L13 9h5.500a2 2 0 0 1 2 2.400l-1.5 8a2 2 0 0 1-2 1.600zM7 10H3.500v11H7'
export const BIN = 'M4 7h16M9.5 7V4h5v3M6.5 7l1 13h9l1-13M10.5 11v5.500M13.5 11v5.5'
export const QUOTE = 'M4 6h16M4 18h9M8 12h12'
export const GO = 'M5 12h13M13 6l6 6-6 6'
