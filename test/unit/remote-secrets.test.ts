import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { InvalidSetting } from '../../src/errors';
import { SecretBox, openSecretBox } from '../../src/models/remote-secrets';
import { readSettings } from '../../src/settings';

const secrets = { username: 'reader', password: 'correct horse', headers: [{ 'x-token': 'ü🙂' }] };

describe('the secrets of a remote', () => {
  const box = new SecretBox(randomBytes(32));

  it('are what they were once they are opened', () => {
    const sealed = box.seal(secrets);
    expect(sealed?.toString('latin1')).not.toContain('horse');
    expect(box.open(sealed, 'upstream')).toEqual(secrets);
  });

  it('are sealed differently each time, so that equal ones cannot be told', () => {
    expect(box.seal(secrets)).not.toEqual(box.seal(secrets));
  });

  it('are nothing where there are none', () => {
    expect(box.seal({})).toBeNull();
    expect(box.open(null, 'upstream')).toEqual({});
  });

  it('cannot be opened with another key, and the error says what to do, and nothing secret', () => {
    const open = () => new SecretBox(randomBytes(32)).open(box.seal(secrets), 'upstream');
    expect(open).toThrow(InvalidSetting);
    expect(open).toThrow(/remote "upstream" were encrypted with another key.*PENSTOCK_SECRET_KEY/);
    expect(open).not.toThrow(/horse/);
  });

  it('are refused where one byte has changed, or some are gone', () => {
    const sealed = box.seal(secrets) ?? Buffer.alloc(0);
    for (const place of [0, 12, 28, sealed.length - 1]) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(place) ^ 1, place);
      expect(() => box.open(changed, 'upstream')).toThrow(InvalidSetting);
    }
    for (const length of [0, 5, 12, 16, 27, 28, sealed.length - 1]) {
      expect(() => box.open(sealed.subarray(0, length), 'upstream')).toThrow(InvalidSetting);
    }
  });
});

describe('the key', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'penstock-key-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const settingsOf = (secretKey = '') => readSettings({ PENSTOCK_DATA: folder, PENSTOCK_SECRET_KEY: secretKey });

  it('is made at the first use, for its owner only, and is the same from then on', () => {
    const sealed = openSecretBox(settingsOf()).seal(secrets);
    expect(readdirSync(folder)).toEqual(['secret.key']);
    expect(statSync(join(folder, 'secret.key')).mode & 0o777).toBe(0o600);
    expect(openSecretBox(settingsOf()).open(sealed, 'upstream')).toEqual(secrets);
  });

  it('is the given one, where one is given', () => {
    const key = randomBytes(32).toString('base64');
    const sealed = openSecretBox(settingsOf(key)).seal(secrets);
    expect(readdirSync(folder)).toEqual([]);
    expect(openSecretBox(settingsOf(key)).open(sealed, 'upstream')).toEqual(secrets);
  });

  it('is refused where it has another length, naming where it is from', () => {
    const short = randomBytes(16).toString('base64');
    expect(() => openSecretBox(settingsOf(short))).toThrow(/^PENSTOCK_SECRET_KEY must be 32 bytes in base64.*found 16/);
    const file = join(folder, 'secret.key');
    writeFileSync(file, 'damaged');
    expect(() => openSecretBox(settingsOf())).toThrow(`The key in ${file} must be 32 bytes`);
    expect(readFileSync(file, 'utf8')).toBe('damaged');
  });
});
