// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require view';
'require poll';
'require ui';
'require natflow.bus as bus';
'require natflow.names as names';
'require natflow.search as search';
'require natflow.show as show';
'require natflow.why as why';

const SECONDS = 3;
const PAGE = 50;
const OFFSET_MAX = 10000;
const TYPING_MILLISECONDS = 300;
const el = show.el;

/* label, the sort key of natflowd (null: cannot be sorted by), class */
const COLUMNS = [
	[ () => _('Connection'), 'src', 'nf-wide' ],
	[ () => _('Forwarded by'), 'state', '' ],
	[ () => _('Path'), null, '' ],
	[ () => _('Rate'), 'rate', 'nf-number' ],
	[ () => _('Bytes'), 'total_bytes', 'nf-number' ],
	[ () => _('Idle'), 'idle', 'nf-number' ],
	[ () => _('Explanation'), null, 'nf-action' ]
];

function reject(error) {
	return error;
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		const wanted = new URLSearchParams(window.location.search);

		this.wanted = {
			text: wanted.get('search') ?? '',
			state: wanted.get('state') ?? '',
			reason: wanted.get('reason') ?? '',
			sort: 'rate',
			order: 'desc',
			offset: 0
		};

		return Promise.all([ bus.info().catch(reject), names.clients().catch(reject), show.style() ]).then(([ info, clients ]) => {
			this.info = info instanceof Error ? null : info;
			this.clients = clients instanceof Error ? [] : clients.clients;

			return this.ask();
		});
	},

	/* The filter that selects the flows, without sort and page. */
	filter() {
		const filter = search.parse(this.wanted.text, this.clients);

		if (this.wanted.state)
			filter.state = this.wanted.state;

		if (this.wanted.reason)
			filter.reason = this.wanted.reason;

		return filter;
	},

	ask() {
		const asked = JSON.stringify(this.wanted);
		const page = { offset: this.wanted.offset, limit: PAGE, sort: this.wanted.sort, order: this.wanted.order };

		return bus.query(Object.assign(this.filter(), page)).catch(reject).then((answer) => ({ asked, answer }));
	},

	/* Ask and draw; an answer to what is no longer asked for is dropped. */
	refresh() {
		return this.ask().then((got) => {
			if (got.asked == JSON.stringify(this.wanted))
				this.update(got.answer);
		});
	},

	change(values) {
		Object.assign(this.wanted, { offset: 0 }, values);

		return this.refresh();
	},

	render(got) {
		this.writable = !!L.hasViewPermission();
		this.notices = el('div', { 'id': 'nf-notices', 'aria-live': 'polite' });
		this.summary = el('p', { 'id': 'nf-summary', 'class': 'nf-muted', 'role': 'status' });
		this.body = el('tbody', { 'id': 'nf-rows' });
		this.empty = el('p', { 'class': 'nf-empty', 'id': 'nf-empty' });
		this.heads = COLUMNS.map((column) => this.head(column));
		this.table = el('table', { 'class': 'table nf-table nf-flows', 'id': 'nf-flows' },
			el('thead', {}, el('tr', { 'class': 'tr table-titles' }, this.heads)), this.body);
		this.back = this.pager('nf-back', _('Previous'), -PAGE);
		this.forth = this.pager('nf-forth', _('Next'), PAGE);
		this.range = el('span', { 'id': 'nf-range' });

		this.section = el('div', { 'class': 'cbi-section' },
			this.tools(),
			this.summary,
			this.table,
			this.empty,
			el('div', { 'class': 'nf-pager' }, this.back, this.range, this.forth));
		this.untold = el('div', { 'class': 'cbi-section', 'id': 'nf-untold' },
			el('h3', {}, _('Not available with this module')), el('p', { 'class': 'nf-empty' }));

		const page = el('div', { 'class': 'nf-page', 'id': 'nf-flows-page' },
			el('h2', {}, _('Flows')),
			this.notices,
			this.untold,
			this.section);

		this.update(got.answer);
		poll.add(() => this.refresh(), SECONDS);

		return page;
	},

	tools() {
		const reasons = Object.keys(this.info?.reasons ?? {}).filter((name) => name != 'none').sort();
		const field = (id, label, control) => el('div', { 'class': 'nf-field' }, el('label', { 'for': id }, label), control);
		const options = (names, label, chosen, any) => [ [ '', any ], ...names.map((name) => [ name, label(name) ]) ].map(([ value, text ]) =>
			el('option', { 'value': value, 'selected': value == chosen ? true : null }, text));

		this.flush = el('button', {
			'class': 'btn cbi-button cbi-button-negative',
			'type': 'button',
			'id': 'nf-flush',
			'click': () => this.confirmFlush(this.filter())
		}, _('Remove these…'));

		return el('div', { 'class': 'nf-tools', 'role': 'search' },
			field('nf-search', _('Search'), el('input', {
				'id': 'nf-search',
				'class': 'cbi-input-text',
				'type': 'search',
				'value': this.wanted.text,
				'placeholder': _('name, address, port, MAC, device, tcp, udp'),
				'autocomplete': 'off',
				'spellcheck': 'false',
				'input': (event) => this.typed(event.target.value)
			})),
			field('nf-state', _('Forwarded by'), el('select', {
				'id': 'nf-state',
				'class': 'cbi-input-select',
				'change': (event) => this.change({ state: event.target.value })
			}, options(show.states(), show.stateName, this.wanted.state, _('all')))),
			field('nf-reason', _('Reason'), el('select', {
				'id': 'nf-reason',
				'class': 'cbi-input-select',
				'change': (event) => this.change({ reason: event.target.value })
			}, options(reasons, (name) => name, this.wanted.reason, _('any')))),
			this.writable ? this.flush : null);
	},

	typed(text) {
		window.clearTimeout(this.typing);
		this.typing = window.setTimeout(() => this.change({ text }), TYPING_MILLISECONDS);
	},

	head([ label, key, kind ]) {
		const attributes = { 'class': 'th %s'.format(kind), 'scope': 'col' };

		if (!key)
			return el('th', attributes, label());

		attributes['data-sort'] = key;

		return el('th', attributes, el('button', {
			'class': 'nf-sort',
			'type': 'button',
			'title': _('Sort by this column'),
			'click': () => this.change({
				sort: key,
				order: this.wanted.sort == key && this.wanted.order == 'desc' ? 'asc' : 'desc'
			})
		}, label()));
	},

	pager(id, label, step) {
		return el('button', {
			'class': 'btn cbi-button',
			'type': 'button',
			'id': id,
			'click': () => this.change({ offset: Math.max(0, this.wanted.offset + step) })
		}, label);
	},

	update(answer) {
		const failed = answer instanceof Error ? answer : null;
		const untold = failed?.kind == 'unavailable';

		this.untold.style.display = untold ? '' : 'none';
		this.section.style.display = untold ? 'none' : '';

		if (untold) {
			show.content(this.notices, '', () => []);
			show.text(this.untold.lastChild, _(failed.message));

			return;
		}

		show.content(this.notices, failed?.message ?? '', () => failed ? [ show.notice('error',
			failed.kind == 'absent' ? _('The daemon is not running') : null, [ failed.message ]) ] : []);

		for (const head of this.heads) {
			const key = head.getAttribute('data-sort');

			if (key)
				head.setAttribute('aria-sort', key != this.wanted.sort ? 'none' : this.wanted.order == 'desc' ? 'descending' : 'ascending');
		}

		if (failed) {
			this.flush.disabled = true;

			/* What does not answer may answer again; what was refused has no rows. */
			if (failed.kind == 'refused')
				this.draw({ total: 0, offset: 0, flows: [], totals: { rate: 0 }, states: {} });

			return;
		}

		/* The last page may have emptied. */
		if (answer.offset && answer.offset >= answer.total) {
			this.change({ offset: Math.max(0, Math.floor((answer.total - 1) / PAGE) * PAGE) });

			return;
		}

		this.flush.disabled = !answer.total;
		this.draw(answer);
	},

	draw(answer) {
		const narrowed = Object.keys(this.filter()).length > 0;
		const last = answer.offset + answer.flows.length;

		show.text(this.summary, _('Flows: %s. Together %s.').format(show.count(answer.total), show.rate(answer.totals.rate)) + ' ' +
			Object.keys(answer.states).map((state) => '%s: %s'.format(show.stateName(state), show.count(answer.states[state]))).join(', '));
		show.text(this.empty, answer.total ? '' : narrowed ? _('No flow matches.') : _('There are no flows yet. They appear as soon as the router forwards connections.'));
		this.table.style.display = answer.total ? '' : 'none';
		this.back.disabled = !answer.offset;
		this.forth.disabled = last >= answer.total || answer.offset + PAGE > OFFSET_MAX;
		show.text(this.range, answer.total ? _('%s to %s of %s').format(show.count(answer.offset + 1), show.count(last), show.count(answer.total)) : '');
		this.total = answer.total;
		show.rows(this.body, answer.flows, (flow) => flow.id, (flow) => this.row(flow), (row, flow) => this.fill(row, flow));
	},

	row(flow) {
		const cell = (label, kind, ...children) => el('td', { 'class': 'td %s'.format(kind), 'data-title': label }, children);
		const opener = el('button', {
			'class': 'btn cbi-button nf-open',
			'type': 'button',
			'aria-label': _('Why is %s → %s forwarded so?').format(show.endpoint(flow.src, flow.sport), show.endpoint(flow.dst, flow.dport)),
			'click': () => this.explain(flow, opener)
		}, _('Why?'));

		return el('tr', { 'class': 'tr' },
			cell(_('Connection'), 'nf-wide',
				el('span', { 'class': 'nf-proto' }, flow.proto.toUpperCase()), ' ',
				el('span', { 'class': 'nf-endpoint' }, show.endpoint(flow.src, flow.sport)), ' → ',
				el('span', { 'class': 'nf-endpoint' }, show.endpoint(flow.dst, flow.dport)),
				this.translation(flow)),
			cell(_('Forwarded by'), '', el('span', {}), el('span', { 'class': 'nf-muted nf-addresses' })),
			cell(_('Path'), '', el('span', {}), el('span', { 'class': 'nf-muted nf-ways' })),
			cell(_('Rate'), 'nf-number nf-pair', el('span', {}), el('span', {})),
			cell(_('Bytes'), 'nf-number nf-pair', el('span', {}), el('span', {})),
			cell(_('Idle'), 'nf-number'),
			cell(_('Explanation'), 'nf-action', opener));
	},

	/* The address that the other side sees, where it is another one. */
	translation(flow) {
		const seen = [];

		if (flow.flags.includes('snat'))
			seen.push(_('as %s').format(show.endpoint(flow.reply_dst, flow.reply_dport)));

		if (flow.flags.includes('dnat'))
			seen.push(_('really %s').format(show.endpoint(flow.reply_src, flow.reply_sport)));

		const name = this.clients.find((client) => client.name && client.addresses.includes(flow.src))?.name;

		if (name)
			seen.unshift(name);

		return seen.length ? el('span', { 'class': 'nf-muted nf-addresses' }, seen.join(' · ')) : null;
	},

	fill(row, flow) {
		const [ , by, path, rate, bytes, idle ] = row.children;
		const moved = flow.total_bytes[0] + flow.total_bytes[1] ? flow.total_bytes : why.fast(flow);

		show.content(by.firstChild, flow.state, () => [ show.badge(flow.state) ]);
		show.text(by.lastChild, flow.reason == 'none' ? why.refusals(flow) : flow.reason);
		show.text(path.firstChild, '%s → %s'.format(flow.in[0] || '?', flow.out[0] || '?'));
		show.text(path.lastChild, (flow.drawing ?? []).join('\n'));
		show.text(rate.firstChild, '↑ %s'.format(show.rate(flow.rate[0])));
		show.text(rate.lastChild, '↓ %s'.format(show.rate(flow.rate[1])));
		show.text(bytes.firstChild, '↑ %s'.format(show.bytes(moved[0])));
		show.text(bytes.lastChild, '↓ %s'.format(show.bytes(moved[1])));
		show.text(idle, show.duration(flow.idle));
	},

	explain(flow, opener) {
		const remove = el('button', {
			'class': 'btn cbi-button cbi-button-negative',
			'type': 'button',
			'click': () => this.confirmFlush({ family: flow.family, proto: flow.proto, address: flow.src, port: flow.sport })
		}, _('Remove it…'));

		return why.open(flow, this.writable ? remove : null, () => opener.focus());
	},

	/* Ask how many there are now, and then whether to. */
	confirmFlush(filter) {
		return bus.query(Object.assign({}, filter, { limit: 1 })).then((answer) => {
			const close = el('button', { 'class': 'btn cbi-button', 'type': 'button', 'click': ui.hideModal }, _('Cancel'));

			ui.showModal(_('Remove flows'), [
				el('p', { 'id': 'nf-flush-count' }, _('Flows that match: %s').format(show.count(answer.total))),
				el('p', {}, _('Only what natflow has learned about them is removed. Their connections live on, and are learned again with their next packets.')),
				el('div', { 'class': 'right button-row' }, close, ' ', el('button', {
					'class': 'btn cbi-button cbi-button-negative important',
					'type': 'button',
					'id': 'nf-flush-confirm',
					'click': ui.createHandlerFn(this, 'removeFlows', filter)
				}, _('Remove')))
			], 'nf-dialog');
			close.focus();
		}).catch((error) => ui.addNotification(null, [ el('p', {}, error.message) ], 'error'));
	},

	removeFlows(filter) {
		return bus.flush(filter).then((gone) => {
			ui.hideModal();
			ui.addNotification(null, [ el('p', {}, _('Flows removed: %s, of which accelerated: %s').format(show.count(gone.removed), show.count(gone.accelerated))) ], 'info');

			return this.refresh();
		}).catch((error) => {
			ui.hideModal();
			ui.addNotification(null, [ el('p', {}, error.message) ], 'error');
		});
	}
});
