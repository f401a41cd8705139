import { PenstockError } from '../errors';

/** A key that is no relative path of plain names, and so might lead out of the storage. */
export class InvalidStorageKey extends PenstockError {}

/** Whether a text is a relative path of plain names. */
export function isStorageKey(text: string): boolean {
  return text.split('/').every((name) => /^[A-Za-z0-9_.@+=-]+$/.test(name) && name !== '.' && name !== '..');
}

/** The key, where it is one of something that is put in place. @throws {@link InvalidStorageKey} */
export function checkKey(key: string): string {
  return key.split('/')[0] === 'tmp' ? refuseKey(key) : checkAnyKey(key);
}

/** The key, also where it is one of something that is not put in place yet. @throws {@link InvalidStorageKey} */
export function checkAnyKey(key: string): string {
  return isStorageKey(key) ? key : refuseKey(key);
}

function refuseKey(key: string): never {
  throw new InvalidStorageKey(
    `${JSON.stringify(key)} is no storage key: expected names of letters, digits and _.@+=- joined by "/", below no "tmp".`,
    { expected: 'artifact/ab/cdef…', found: key },
  );
}
