import { killScenarios } from './kill-scenarios';
import { testUncached } from './uncached';

testUncached(killScenarios);
