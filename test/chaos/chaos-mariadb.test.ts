import { describeChaos } from './fixed-set.ts';

describeChaos('mariadb');
