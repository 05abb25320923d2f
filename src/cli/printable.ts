/** ECMA-48 control sequences: ESC [ … a letter. */
const CURSOR = new RegExp(`${String.fromCharCode(0x1b)}\\[[0-9;?]*[A-Za-z]`, 'g');

/** What a program printed, on one line and without what a terminal would obey. */
export const printable = (text: string): string =>
  text
    .replaceAll(CURSOR, '')
    .replaceAll(/\p{Cc}/gu, ' ')
    .trim();
