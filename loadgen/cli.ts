#!/usr/bin/env node
/**
 * Cli: where `owsla-loadgen` begins. It loads nothing yet.
 * From: whoever starts it.  To: commandLine.ts, in a Node that is new enough and that no debugger
 * can enter by a signal.
 * Bound: a Node that is too old is one sentence and exit code 78.
 */
import { prepare } from '../src/base/runtime.ts';

if (prepare('owsla-loadgen', process.argv, process.env.NODE_OPTIONS)) {
  await import('./commandLine.ts');
}
