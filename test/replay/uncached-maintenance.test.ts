import { maintenanceScenarios } from './maintenance-scenarios';
import { testUncached } from './uncached';

testUncached(maintenanceScenarios);
