// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require view';
'require poll';
'require ui';
'require natflow.bus as bus';
'require natflow.conflict as conflicts';
'require natflow.graph as graph';
'require natflow.names as names';
'require natflow.remedy as remedy';
'require natflow.show as show';

const SECONDS = 3;
const GRAPH_SECONDS = 300;
const SAMPLE_SECONDS_MIN = 2; // over less, the counters' own step would pass for a rate
const CLIENTS_SHOWN = 10;
const REASONS_SHOWN = 8;
const el = show.el;

/* Conflicts with what must see packets; the others are accelerators. */
const WATCHERS = [ 'filter', 'shaper' ];

const ENGINES = [ 'slow', 'software', 'hardware' ];

const ENGINE_NAMES = {
	slow: () => _('Normal path'),
	software: () => _('Software'),
	hardware: () => _('Hardware')
};

const SENTENCES = {
	off: () => _('Acceleration is off. All traffic takes the normal path.'),
	software: () => _('Acceleration is on: software forwards the traffic on the short path.'),
	hardware: () => _('Acceleration is on: the hardware forwards traffic.'),
	on: () => _('Acceleration is on. By which engine the module does not tell.'),
	conflict: () => _('Acceleration is on, but another accelerator takes connections away from it.'),
	error: () => _('Something keeps natflow from working.')
};

function reject(error) {
	return error;
}

function sum(pair) {
	return pair.up + pair.down;
}

function flowsLink(query, label) {
	const search = Object.keys(query).map((key) => '%s=%s'.format(key, encodeURIComponent(query[key]))).join('&');

	return el('a', { 'href': '%s?%s'.format(L.url('admin/network/natflow/flows'), search) }, label);
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return Promise.all([ this.ask(), show.style() ]);
	},

	/* All of it in one request; what failed is a Trouble in its place. */
	ask() {
		return Promise.all([
			bus.status().catch(reject),
			names.clients().catch(reject),
			this.info ? this.info : bus.info().catch(reject)
		]);
	},

	render([ answers ]) {
		this.writable = !!L.hasViewPermission();
		this.showAll = false;

		this.notices = el('div', { 'id': 'nf-notices', 'aria-live': 'polite' });
		this.toggle = el('button', {
			'id': 'nf-toggle',
			'class': 'nf-toggle',
			'type': 'button',
			'role': 'switch',
			'aria-checked': 'false',
			'aria-labelledby': 'nf-toggle-label',
			'disabled': true,
			'click': () => this.handleToggle()
		}, el('span', { 'class': 'nf-knob' }));
		this.sentence = el('p', { 'id': 'nf-sentence', 'class': 'nf-sentence' });
		this.versions = el('p', { 'class': 'nf-muted', 'id': 'nf-versions' });
		this.strip = el('div', { 'class': 'nf-strip', 'id': 'nf-engines' });
		this.graph = new graph.Rate(ENGINES.map((name) => ({ name, label: ENGINE_NAMES[name]() })), GRAPH_SECONDS);
		this.uncounted = el('p', { 'class': 'nf-muted', 'id': 'nf-uncounted', 'role': 'status' });
		this.share = el('div', { 'id': 'nf-share' });
		this.clients = el('div', { 'id': 'nf-clients' });
		this.reasons = el('div', { 'id': 'nf-reasons' });
		this.untold = el('div', { 'id': 'nf-untold' });
		this.told = el('div', {},
			this.section(_('Traffic by engine'), _('The rate of all that the router forwards, by the engine that does it.'), el('div', {}, this.uncounted, this.graph.node)),
			this.section(_('Share of all bytes'), null, this.share),
			this.section(_('Hosts'), null, this.clients),
			this.section(_('Why not everything is accelerated'), _('Flows in the table now, and packets since the module was loaded, by the reason for which they took the normal path.'), this.reasons));

		const page = el('div', { 'class': 'nf-page', 'id': 'nf-status' },
			el('h2', {}, _('Flow Acceleration')),
			this.notices,
			el('div', { 'class': 'cbi-section nf-main' },
				this.toggle,
				el('div', {},
					el('h3', { 'id': 'nf-toggle-label' }, _('Acceleration')),
					this.sentence,
					this.versions,
					this.writable ? null : el('p', { 'class': 'nf-muted', 'id': 'nf-readonly' }, _('This login may look at this page but change nothing.')))),
			this.strip,
			this.untold,
			this.told);

		this.update(answers);
		poll.add(() => this.ask().then((next) => this.update(next)), SECONDS);

		return page;
	},

	section: (title, description, node) => el('div', { 'class': 'cbi-section' },
		el('h3', {}, title), description ? el('p', { 'class': 'nf-muted' }, description) : null, node),

	/* Draw what came; a part that did not come stays as it was. */
	update([ status, clients, info ]) {
		const failed = status instanceof Error ? status : null;

		this.status = failed ? this.status : status;

		if (!(info instanceof Error))
			this.info = info;

		this.updateNotices(failed);
		this.updateSwitch(failed);

		if (failed)
			return;

		this.updateEngines(status);

		if (this.updateUntold(status))
			return;

		this.updateRates(status);
		this.updateShare(status);
		this.updateReasons(status);
		this.updateClients(clients, status);
	},

	updateNotices(failed) {
		const status = failed ? null : this.status;

		show.content(this.notices, [ failed?.message, status?.state, status?.message, status?.module, status?.conflicts, status?.config_errors, status?.config_warnings ], () => {
			if (failed)
				return [ this.failure(failed) ];

			const problems = [];

			if (!status.module.loaded)
				problems.push(show.notice('error', _('The kernel module is not loaded'), [ status.message ],
					this.actions(_('Load it'), () => bus.start())));
			else if (status.state == 'error' && !status.config_errors.length)
				problems.push(show.notice('error', null, [ status.message ]));

			for (const conflict of status.conflicts)
				problems.push(show.notice('warning', WATCHERS.includes(conflict.code) ? _('Not everything can be accelerated') : _('Another accelerator is at work'), conflicts.sentences(conflict),
					conflict.code == 'firewall-flow-offloading'
						? this.actions(_('Switch the firewall’s offloading off'), () => remedy.firewallOffloadingOff()) : null));

			if (status.config_errors.length)
				problems.push(show.notice('error', _('The configuration has errors'), [
					_('None of it is in force until they are mended; what was in force before stays.'),
					...status.config_errors.map((problem) => problem.text)
				]));

			if (status.config_warnings.length)
				problems.push(show.notice('warning', _('Parts of the configuration are ignored'), status.config_warnings.map((problem) => problem.text)));

			return problems;
		});
	},

	failure(failed) {
		if (failed.kind == 'absent')
			return show.notice('error', _('The daemon is not running'), [
				failed.message,
				_('Connections that are accelerated stay so; the kernel does that by itself.')
			], this.actions(_('Start it'), () => bus.start()));

		return show.notice('error', null, [ failed.message ]);
	},

	actions(label, action) {
		if (!this.writable)
			return [];

		return [ el('button', {
			'class': 'btn cbi-button cbi-button-action',
			'type': 'button',
			'click': ui.createHandlerFn(this, () => action().catch((error) => this.complain(error)))
		}, label) ];
	},

	complain(error) {
		ui.addNotification(null, [ el('p', {}, error?.message ?? String(error)) ], 'error');
	},

	updateSwitch(failed) {
		const status = this.status;
		const usable = !failed && status.module.loaded && this.writable && !this.switching;

		this.toggle.disabled = !usable;

		if (this.switching)
			return;

		this.toggle.setAttribute('aria-checked', status?.enabled && !failed ? 'true' : 'false');
		show.text(this.sentence, failed ? _('It is not known whether acceleration is on.') : SENTENCES[status.state]?.() ?? status.state);
		show.text(this.versions, failed ? '' : status.uptime == null
			? _('natflow %s, module: %s').format(status.version, status.module.name)
			: _('natflow %s, module %s, counting for %s').format(
				status.version, status.module.version || '–', show.duration(status.uptime * 1000)));
	},

	handleToggle() {
		const wanted = !this.status.enabled;
		const stay = (event) => event.preventDefault();

		/* Whoever leaves before the router is found reachable has the change rolled back. */
		window.addEventListener('beforeunload', stay);
		this.switching = true;
		show.text(this.sentence, _('It is being applied. Please stay on this page for a moment.'));
		this.toggle.classList.add('nf-busy');
		this.toggle.setAttribute('aria-checked', wanted ? 'true' : 'false');
		this.toggle.disabled = true;

		return remedy.enable(wanted).catch((error) => this.complain(error)).then(() => this.ask()).then((answers) => {
			window.removeEventListener('beforeunload', stay);
			this.switching = false;
			this.toggle.classList.remove('nf-busy');
			this.update(answers);
		});
	},

	updateEngines(status) {
		const flows = status.flows;

		show.content(this.strip, [ status.enabled, status.module.loaded, flows, status.hwnat, status.wed ], () => [
			this.engine('software', _('Software'), _('Any Ethernet port, VLAN and bridge'), {
				configured: status.enabled,
				active: status.enabled && status.module.loaded,
				supported: status.module.loaded,
				reason: status.enabled ? '' : _('It is switched off.')
			}, flows.software),
			this.engine('hardware', _('Hardware (PPE)'), _('The packet engine of the router’s chip'), status.hwnat, flows.hardware),
			this.engine('wed', _('Hardware to WiFi (WED)'), _('The packet engine and the radio, without the processor'), status.wed, flows.wed)
		]);
	},

	engine(name, title, what, state, flows) {
		const word = state.active ? 'active' : state.supported ? 'ready' : 'none';
		const words = { active: _('Active'), ready: _('Not active'), none: _('Not available') };
		const facts = [ el('dt', {}, _('Configured')), el('dd', {}, state.configured ? _('on') : _('off')) ];

		if (state.active && flows != null)
			facts.push(el('dt', {}, _('Flows')), el('dd', {}, show.count(flows)));

		if (state.installed)
			facts.push(el('dt', {}, _('Directions in its table')), el('dd', {}, _('%s of %s').format(show.count(state.bound), show.count(state.capacity))));

		return el('div', { 'class': 'nf-card', 'data-engine': name, 'data-word': word },
			el('div', { 'class': 'nf-card-head' }, el('strong', {}, title), show.badge(state.active ? name : word, words[word])),
			el('p', { 'class': 'nf-muted' }, what),
			el('dl', { 'class': 'nf-facts' }, facts),
			state.reason ? el('p', {}, _(state.reason)) : null,
			state.estimated ? el('p', {}, _('It does not count: bytes of its flows are estimates.')) : null,
			state.reboot_required ? el('p', {}, el('strong', {}, _('It needs a reboot.'))) : null);
	},

	/* Of what the module that is driven does not tell nothing is drawn, and that is said once. */
	updateUntold(status) {
		const untold = status.module.loaded && !status.module.tells;

		this.told.style.display = untold ? 'none' : '';
		show.content(this.untold, untold, () => untold ? [ this.section(_('Not available with this module'), null,
			el('p', { 'class': 'nf-empty' }, _(status.module.note))) ] : []);

		return untold;
	},

	updateRates(status) {
		const now = performance.now() / 1000;
		const last = this.last;

		show.text(this.uncounted, status.enabled ? '' : _('While acceleration is off nothing is counted: all packets pass natflow by.'));

		if (last && now - last.time < SAMPLE_SECONDS_MIN)
			return;

		/* A module that was loaded anew counts from zero. */
		if (last && status.uptime >= last.uptime && ENGINES.every((name) => status.bytes[name] >= last.bytes[name])) {
			const rates = {};

			for (const name of ENGINES)
				rates[name] = (status.bytes[name] - last.bytes[name]) / (now - last.time);

			this.graph.add(now, now - last.time, rates);
		}

		this.last = { time: now, uptime: status.uptime, bytes: status.bytes };
	},

	updateShare(status) {
		const total = ENGINES.reduce((all, name) => all + status.bytes[name], 0);

		show.content(this.share, status.bytes, () => {
			if (!total)
				return [ el('p', { 'class': 'nf-empty' }, _('Nothing has been forwarded yet.')) ];

			return [
				el('div', { 'class': 'nf-bar', 'aria-hidden': 'true' }, ENGINES.map((name) => el('span', {
					'class': 'nf-fill-%s'.format(name),
					'style': 'flex-grow:%d'.format(Math.round(1000000 * status.bytes[name] / total))
				}))),
				el('ul', { 'class': 'nf-legend' }, ENGINES.map((name) => el('li', { 'data-engine': name },
					show.icon(name), ' ', ENGINE_NAMES[name](), ' ',
					el('strong', {}, show.percent(status.bytes[name], total)), ' ',
					el('span', { 'class': 'nf-muted' }, show.bytes(status.bytes[name])))))
			];
		});
	},

	updateReasons(status) {
		const all = Object.keys(Object.assign({}, status.reason_flows, status.reasons)).sort((one, other) =>
			(status.reason_flows[other] ?? 0) - (status.reason_flows[one] ?? 0) || (status.reasons[other] ?? 0) - (status.reasons[one] ?? 0));
		const names = all.slice(0, REASONS_SHOWN);

		show.content(this.reasons, [ names, status.reason_flows, status.reasons, !!this.info ], () => {
			if (!names.length)
				return [ el('p', { 'class': 'nf-empty' }, _('There is nothing to explain: no packet took the normal path.')) ];

			return [ el('table', { 'class': 'table nf-table' },
				el('thead', {}, el('tr', { 'class': 'tr table-titles' },
					el('th', { 'class': 'th nf-number', 'scope': 'col' }, _('Flows')),
					el('th', { 'class': 'th nf-number', 'scope': 'col' }, _('Packets')),
					el('th', { 'class': 'th', 'scope': 'col' }, _('Reason')),
					el('th', { 'class': 'th', 'scope': 'col' }, _('What to do')))),
				el('tbody', {}, names.map((name) => this.reason(name, status)))) ];
		});
	},

	reason(name, status) {
		const why = this.info?.reasons?.[name];
		const flows = status.reason_flows[name] ?? 0;
		const cell = (label, number, ...children) => el('td', { 'class': 'td%s'.format(number ? ' nf-number' : ''), 'data-title': label }, children);

		return el('tr', { 'class': 'tr', 'data-reason': name },
			cell(_('Flows'), true, flows ? flowsLink({ reason: name }, show.count(flows)) : '0'),
			cell(_('Packets'), true, show.count(status.reasons[name] ?? 0)),
			cell(_('Reason'), false, why ? _(why.sentence) : name),
			cell(_('What to do'), false, why ? _(why.hint) : ''));
	},

	updateClients(clients, status) {
		if (clients instanceof Error) {
			show.content(this.clients, clients.message, () => [ el('p', { 'class': 'nf-empty' },
				status.module.loaded ? clients.message : _('Without the module there is nothing to show.')) ]);

			return;
		}

		if (!clients.clients.length) {
			show.content(this.clients, 'none', () => [ el('p', { 'class': 'nf-empty' },
				status.enabled ? _('No host has sent anything through the router yet.') : _('Hosts are counted while acceleration is on.')) ]);

			return;
		}

		show.content(this.clients, 'table', () => this.clientTable());
		show.rows(this.clientRows, this.showAll ? clients.clients : clients.clients.slice(0, CLIENTS_SHOWN),
			(client) => client.addresses.join(' '), (client) => this.clientRow(client), (row, client) => this.clientFill(row, client));
		this.more.style.display = clients.clients.length > CLIENTS_SHOWN ? '' : 'none';
		show.text(this.more, this.showAll ? _('Show fewer') : _('Show all %d').format(clients.clients.length));
		this.more.setAttribute('aria-expanded', this.showAll ? 'true' : 'false');
		this.lastClients = clients;
	},

	clientTable() {
		this.clientRows = el('tbody', {});
		this.more = el('button', {
			'class': 'btn cbi-button',
			'type': 'button',
			'id': 'nf-more',
			'click': () => {
				this.showAll = !this.showAll;
				this.updateClients(this.lastClients, this.status);
			}
		});

		return [ el('table', { 'class': 'table nf-table nf-hosts' },
			el('thead', {}, el('tr', { 'class': 'tr table-titles' },
				el('th', { 'class': 'th', 'scope': 'col' }, _('Host')),
				el('th', { 'class': 'th nf-number', 'scope': 'col' }, _('Flows')),
				el('th', { 'class': 'th nf-number', 'scope': 'col' }, _('Upload')),
				el('th', { 'class': 'th nf-number', 'scope': 'col' }, _('Download')),
				el('th', { 'class': 'th nf-number', 'scope': 'col' }, _('Sent')),
				el('th', { 'class': 'th nf-number', 'scope': 'col' }, _('Received')),
				el('th', { 'class': 'th nf-number', 'scope': 'col' }, _('Accelerated')))),
			this.clientRows), el('div', { 'class': 'right' }, this.more) ];
	},

	clientRow(client) {
		const number = (label) => el('td', { 'class': 'td nf-number', 'data-title': label });

		return el('tr', { 'class': 'tr' },
			el('td', { 'class': 'td nf-wide', 'data-title': _('Host') }, el('strong', {}), el('span', { 'class': 'nf-muted nf-addresses' })),
			el('td', { 'class': 'td nf-number', 'data-title': _('Flows') }, flowsLink({ search: client.addresses.join(' ') }, '')),
			number(_('Upload')), number(_('Download')), number(_('Sent')), number(_('Received')), number(_('Accelerated')));
	},

	clientFill(row, client) {
		const cells = row.children;
		const moved = (direction) => ENGINES.reduce((all, name) => all + client.bytes[name][direction], 0);
		const fast = sum(client.bytes.software) + sum(client.bytes.hardware);
		const addresses = client.name ? client.addresses : client.addresses.slice(1);

		show.text(cells[0].firstChild, client.name || client.addresses[0]);
		show.text(cells[0].lastChild, addresses.concat(client.mac || []).join(' · '));
		show.text(cells[1].firstChild, show.count(client.flows));
		show.text(cells[2], show.rate(client.rate.up));
		show.text(cells[3], show.rate(client.rate.down));
		show.text(cells[4], show.bytes(moved('up')));
		show.text(cells[5], show.bytes(moved('down')));
		show.text(cells[6], show.percent(fast, moved('up') + moved('down')));
	}
});
