import { checkConfig, readEnvironment } from '../config.ts';
import { examineSettings } from '../doctor/settings.ts';
import { showFindings } from './findings.ts';
import type { Verb } from './verb.ts';

export const configCheck: Verb = {
  name: 'config check',
  summary: 'say what is wrong with the settings, without connecting to anything',
  details: ['The first part of `doctor`: values, secret, origins, users.'],
  exits: ['found'],
  run: async ({ output }) => showFindings(examineSettings(checkConfig(readEnvironment())), output),
};
