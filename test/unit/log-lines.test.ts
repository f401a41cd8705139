import { describe, expect, it } from '@jest/globals';

import { describeLine } from '../../src/cli/log-lines';

const time = new Date(2026, 0, 5, 12, 3, 4).getTime();

describe('a line of the log at a terminal', () => {
  it('says when, how grave, of what, and what', () => {
    const line = { time, level: 40, msg: 'Activity failed', repository: 'files', stage: 'downloadArtifacts', batch: 3 };
    expect(
      describeLine({ ...line, workflowId: 'sync/files', attempt: 2, error: { message: 'connection refused' } }),
    ).toBe('12:03:04 warn  files, downloadArtifacts 3: Activity failed: connection refused attempt=2');
  });

  it('is one line, and steers no terminal', () => {
    expect(describeLine({ time, level: 50, msg: 'a\n  b\u001b[2Jc\u0007' })).toBe('12:03:04 error a b\ufffd[2Jc\ufffd');
  });

  it('is short', () => {
    expect(describeLine({ time, level: 30, msg: 'x'.repeat(10_000) })).toHaveLength(401);
  });
});
