#!/usr/bin/env -S node --max-semi-space-size=4
import { buildProgram } from './program';
import { messageOf, statusOf } from './exit-status';

async function main(): Promise<void> {
  // Help is printed before a command runs, and perhaps into a pipe that nobody reads to its end, as of `| head`.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreClosedPipe);
  try {
    const program = await buildProgram(process.argv);
    await program.parseAsync();
  } catch (error) {
    process.exitCode = statusOf(error);
    // What commander finds wrong it has printed itself.
    if ((error as { code?: unknown }).code === undefined) process.stderr.write(`${messageOf(error)}\n`);
  }
}

function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

void main();
