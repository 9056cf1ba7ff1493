// SPDX-License-Identifier: GPL-2.0-only
/* Reads [[ before, after ], ...] and writes for each what is wrong with "after", '' if it is the same program. */

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const espree = createRequire(process.argv[2])('espree');
const PLACES = [ 'start', 'end', 'loc', 'range', 'raw' ];

function tree(source) {
	const options = { ecmaVersion: 'latest', ecmaFeatures: { globalReturn: true } };

	return JSON.stringify(espree.parse(source, options), (key, value) => PLACES.includes(key) ? undefined : value);
}

function verdict([ before, after ]) {
	try {
		return tree(before) == tree(after) ? '' : 'it is another program';
	}
	catch (error) {
		return error.message;
	}
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(verdict)));
