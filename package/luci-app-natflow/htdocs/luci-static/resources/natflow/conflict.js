// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';

/* What a conflict says, in the reader's language. The sentences of natflowd's reply are English and have names and
   numbers in them already; these are the same ones, whose names in braces are the keys of the conflict's data. */

const SENTENCES = {
	'firewall-flow-offloading': () => [
		_('The firewall\'s own flow offloading is switched on.'),
		_('Connections it takes stay out of natflow. Switch it off: uci set firewall.@defaults[0].flow_offloading=0; uci commit firewall; service firewall reload')
	],
	'nft-flowtable': () => [
		_('The nftables flowtable {flowtable} takes flows of {devices}.'),
		_('Connections it takes stay out of natflow. Remove the flowtable from the ruleset.')
	],
	'module': () => [
		_('{accelerator} is loaded (kernel module {module}).'),
		_('Use one accelerator: remove the package that loads {module}.')
	],
	'other-natflow': () => [
		_('Another module named natflow is loaded, too ({path} is there).'),
		_('natflow drives its own. Remove the other one\'s package, then reboot.')
	],
	'filter': () => [
		_('A tc or nftables filter on {device} must see all that comes in there. Flows that stay on the normal stack for it now: {flows}.'),
		_('SQM on {device} has such a filter. On the port below {device} it comes before natflow, and keeps only what comes in on the normal stack.')
	],
	'shaper': () => [
		_('A queueing discipline or filter on {device} must see every packet. What leaves by it is accelerated in software and not handed to the hardware.'),
		_('That is right for a shaper. Without it (SQM, tc) on {device} the hardware can have them.')
	]
};

function word(name, value) {
	if (Array.isArray(value))
		return value.join(', ') || _('no device');

	return name == 'accelerator' ? _(value) : String(value);
}

function filled(sentence, data) {
	return sentence.replace(/\{(\w+)\}/g, (whole, name) => data[name] == null ? whole : word(name, data[name]));
}

return baseclass.extend({
	/* What it is and what to do. A conflict that this page does not know speaks for itself, in English. */
	sentences(conflict) {
		const known = SENTENCES[conflict.code.startsWith('module-') ? 'module' : conflict.code];

		if (!known || !conflict.data)
			return [ conflict.text, conflict.hint ];

		return known().map((sentence) => filled(sentence, conflict.data));
	}
});
