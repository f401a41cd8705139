import { catalogScenarios } from './catalog-scenarios';
import { syncScenarios } from './sync-scenarios';
import { testUncached } from './uncached';

testUncached([...syncScenarios, ...catalogScenarios]);
