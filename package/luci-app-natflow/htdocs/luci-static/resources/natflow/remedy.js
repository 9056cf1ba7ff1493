// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require rpc';
'require uci';
'require ui';
'require natflow.bus as bus';

/* What the pages change. Configuration goes LuCI's way: staged, shown or confirmed, applied with rollback. */

const stageValues = rpc.declare({
	object: 'uci',
	method: 'set',
	params: [ 'config', 'section', 'values' ],
	reject: true
});

const SECONDS_TO_TAKE_OVER = 15;

function wait(milliseconds) {
	return new Promise((resolve) => window.setTimeout(resolve, milliseconds));
}

/* Whether these are the staged changes and no others: [[ 'set', section, option, value ], ...] by package. */
function onlyOurs(changes) {
	return Object.keys(changes).every((name) => name == 'natflow') &&
		(changes.natflow ?? []).every((change) => change[1] == 'main' && change[2] == 'enabled');
}

/* Until natflowd, which is told a moment after the configuration was written, has put it in force. */
async function takenOver(enabled) {
	const until = Date.now() + SECONDS_TO_TAKE_OVER * 1000;

	for (;;) {
		const status = await bus.status();

		if (status.enabled == enabled)
			return status;

		if (Date.now() > until)
			throw bus.trouble('refused', _('The setting was saved, but natflow has not put it in force. The messages on this page tell why.'));

		await wait(500);
	}
}

return baseclass.extend({
	/* Switch acceleration on or off for good. Resolves to the status after it, or to null when other changes of
	   the user wait: then LuCI's dialog shows all of them, and nothing is applied yet. */
	async enable(enabled) {
		uci.unload('natflow');
		await uci.load('natflow');

		if (!uci.get('natflow', 'main'))
			uci.add('natflow', 'natflow', 'main');

		if (uci.get('natflow', 'main', 'enabled') != (enabled ? '1' : '0')) {
			uci.set('natflow', 'main', 'enabled', enabled ? '1' : '0');
			await uci.save();
		}

		const changes = await uci.changes();

		if (!onlyOurs(changes)) {
			await ui.changes.init();
			ui.changes.displayChanges();

			return null;
		}

		/* Nothing staged: the configuration says so already, and somebody changed it at run time. */
		if (changes.natflow?.length)
			await uci.apply();
		else
			await bus.set({ enabled: enabled });

		await ui.changes.init();

		return takenOver(enabled);
	},

	/* Stage that the firewall's own offloading is switched off, and show LuCI's dialog to apply it. */
	async firewallOffloadingOff() {
		await stageValues('firewall', '@defaults[0]', { flow_offloading: '0', flow_offloading_hw: '0' });
		await ui.changes.init();
		ui.changes.displayChanges();
	}
});
