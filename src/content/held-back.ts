/**
 * The last bytes of a file that are given to no reader until the whole was found right: so nobody ever holds all bytes of a bad
 * file. A file that is no longer is given out whole or not at all, and may come from another source without anyone noticing.
 */
export const HELD_BACK_BYTES = 64 * 1024;
