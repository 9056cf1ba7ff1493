// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require rpc';

const call = (method, params, expect) => rpc.declare({ object: 'uci', method, params, expect, reject: true });
const callGet = call('get', [ 'config' ], { values: {} });
const callSet = call('set', [ 'config', 'section', 'values' ]);
const callAdd = call('add', [ 'config', 'type', 'name', 'values' ], { section: '' });
const callDelete = call('delete', [ 'config', 'section', 'options' ]);
const callApply = call('apply', [ 'timeout', 'rollback' ]);
const callConfirm = call('confirm');

function wait(milliseconds) {
	return new Promise((resolve) => window.setTimeout(resolve, milliseconds));
}

return baseclass.extend({
	loaded: {},
	tasks: [],
	/* Names that rpcd gave to new sections without one. */
	names: {},

	load(packages) {
		return Promise.all([ packages ].flat().filter((name) => !this.loaded[name]).map((name) =>
			callGet(name).then((values) => { this.loaded[name] = values; })));
	},

	unload(packages) {
		for (const name of [ packages ].flat())
			delete this.loaded[name];
	},

	get(config, section, option) {
		const found = this.loaded[config]?.[section];

		return option ? found?.[option] : found;
	},

	sections(config, type) {
		return Object.values(this.loaded[config] ?? {}).filter((section) => !type || section['.type'] == type);
	},

	/* Without a name it gets one of ours until it is saved. */
	add(config, type, name) {
		const section = name ?? 'new' + (this.count = (this.count ?? 0) + 1);

		(this.loaded[config] ??= {})[section] = { '.type': type, '.name': section, '.anonymous': name == null };
		this.task(section, async () => {
			this.names[section] = await callAdd(config, type, name, {});
		}, true);

		return section;
	},

	remove(config, section) {
		delete this.loaded[config][section];

		if (this.tasks.some((task) => task.section == section && task.adds))
			this.tasks = this.tasks.filter((task) => task.section != section);
		else
			this.task(section, () => callDelete(config, this.real(section)));
	},

	task(section, run, adds) {
		this.tasks.push({ section, run, adds });
	},

	real(section) {
		return this.names[section] ?? section;
	},

	set(config, section, option, value) {
		this.loaded[config][section][option] = value;
		this.task(section, () => callSet(config, this.real(section), { [option]: value }));
	},

	unset(config, section, option) {
		if (this.loaded[config]?.[section]?.[option] == null)
			return;

		delete this.loaded[config][section][option];
		this.task(section, () => callDelete(config, this.real(section), [ option ]));
	},

	async save() {
		const tasks = this.tasks;
		const names = Object.keys(this.loaded);

		this.tasks = [];

		for (const task of tasks)
			await task.run();

		this.unload(names);
		await this.load(names);
	},

	changes: rpc.declare({ object: 'uci', method: 'changes', expect: { changes: {} } }),

	async apply(timeout) {
		const seconds = timeout ?? 10;
		const until = Date.now() + seconds * 1000;

		await callApply(seconds, true);

		for (;;) {
			await wait(1000);

			if (await callConfirm() === 0 || Date.now() > until)
				return;
		}
	}
});
