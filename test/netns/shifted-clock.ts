/**
 * Loaded before a program (`node --import`), in each of its threads: its time of day is off by as many milliseconds as the
 * file CLOCK_SHIFT says.
 * @module
 */
import { readFileSync } from 'node:fs';

const file = process.env.CLOCK_SHIFT ?? '';
const trueNow = Date.now;
Date.now = () => trueNow() + Number(readFileSync(file, 'utf8'));
