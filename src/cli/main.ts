#!/usr/bin/env -S node --max-semi-space-size=4
import { buildProgram } from './program';
import { messageOf, statusOf } from './exit-status';

async function main(): Promise<void> {
  try {
    const program = await buildProgram(process.argv);
    await program.parseAsync();
  } catch (error) {
    process.exitCode = statusOf(error);
    // What commander finds wrong it has printed itself.
    if ((error as { code?: unknown }).code === undefined) process.stderr.write(`${messageOf(error)}\n`);
  }
}

void main();
