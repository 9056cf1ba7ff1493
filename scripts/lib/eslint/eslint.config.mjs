// SPDX-License-Identifier: GPL-2.0-only
/* The rules that the LuCI project holds its own pages to, in our words; where it only warns, we fail. */

import js from '@eslint/js';
import json from '@eslint/json';
import { defineConfig } from 'eslint/config';
import globals from 'globals';

const readonly = (names) => Object.fromEntries(names.map((name) => [ name, 'readonly' ]));

/* What luci.js and cbi.js put into the window, and what "require" directives name. */
const LUCI = readonly([ '_', 'N_', 'L', 'E', 'TR' ]);
const MODULES = readonly([ 'baseclass', 'dom', 'form', 'poll', 'request', 'rpc', 'uci', 'ui', 'view' ]);
const OURS = readonly([ 'bus', 'conflicts', 'graph', 'names', 'remedy', 'search', 'show', 'why' ]);

export default defineConfig([
	{
		files: [ '**/*.json' ],
		plugins: { json },
		language: 'json/json',
		extends: [ 'json/recommended' ]
	},
	{
		files: [ '**/*.js' ],
		plugins: { js },
		extends: [ 'js/recommended' ],
		languageOptions: {
			/* LuCI wraps a file in a function, so that it may return at the top. */
			sourceType: 'script',
			ecmaVersion: 2026,
			parserOptions: { ecmaFeatures: { globalReturn: true } },
			globals: { ...globals.browser, ...LUCI, ...MODULES, ...OURS }
		},
		linterOptions: { reportUnusedDisableDirectives: 'error' },
		rules: {
			'strict': 'off',
			'no-control-regex': 'off',
			'no-empty': 'off',
			'no-prototype-builtins': 'off',
			'no-regex-spaces': 'off',
			/* The modules above are declared here as well as made by a directive. */
			'no-redeclare': [ 'error', { builtinGlobals: false } ]
		}
	}
]);
