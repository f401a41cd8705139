import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { PenstockCommand } from '../cli/penstock-command';
import { ask } from './content-house';

let penstock: PenstockCommand;

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
  await penstock.run(['migrate']);
});
afterAll(() => penstock.remove());

it('serves until it is told to stop, and says where', async () => {
  const app = penstock.start(['content', '--json'], { env: { PENSTOCK_LOG_LEVEL: 'info', TEMPORAL_ADDRESS: '' } });
  await app.printed('"database"');
  const { url } = JSON.parse(app.stdout) as { url: string };
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/pulp\/content\/$/);
  const { status, body } = await ask(url, '/pulp/content/', { headers: { accept: 'application/json' } });
  expect([status, JSON.parse(body.toString())]).toEqual([200, { entries: [] }]);
  await app.printed('"path":"/pulp/content/"');
  expect((await app.signal('SIGTERM')).status).toBe(0);
});

it('refuses an address that is taken, and a certificate that is none', async () => {
  const app = penstock.start(['content']);
  await app.printed('Content is served at');
  const taken = new URL(/http:\S+/.exec(app.stdout)?.[0] ?? '').host;
  const second = await penstock.run(['content'], { env: { PENSTOCK_CONTENT_ADDRESS: taken } });
  expect([second.status, second.stderr]).toEqual([
    2,
    expect.stringContaining('PENSTOCK_CONTENT_ADDRESS cannot be listened on'),
  ]);
  const nowhere = { PENSTOCK_CONTENT_TLS_CERT: '/nowhere/cert.pem', PENSTOCK_CONTENT_TLS_KEY: '/nowhere/key.pem' };
  const third = await penstock.run(['content'], { env: nowhere });
  expect([third.status, third.stderr]).toEqual([2, expect.stringContaining('cannot be used')]);
});
