// npm run test:fuzz -- [--seconds 60] [--seed N] [--only NAME] [-- options of Jest]
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' }, only: { type: 'string' } },
  allowPositionals: true,
});
const only = values.only === undefined ? [] : ['--testNamePattern', `^${values.only} `];
const { status } = spawnSync('npx', ['jest', '--config', 'jest.fuzz.config.js', ...only, ...positionals], {
  stdio: 'inherit',
  env: {
    ...process.env,
    PENSTOCK_FUZZ_SECONDS: values.seconds,
    ...(values.seed === undefined ? {} : { PENSTOCK_TEST_SEED: values.seed }),
  },
});
process.exitCode = status ?? 1;
