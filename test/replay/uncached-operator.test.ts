import { operatorScenarios } from './operator-scenarios';
import { storageScenarios } from './storage-scenarios';
import { testUncached } from './uncached';

testUncached([...operatorScenarios, ...storageScenarios]);
