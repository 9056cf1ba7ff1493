// SPDX-License-Identifier: GPL-2.0-only
/* Forms on a UCI package: named sections with tabs of options, grids of sections that are edited in a dialog. */
'use strict';
'require baseclass';
'require uci';
'require ui';

/* Coarser than LuCI's own: enough to tell what is meant from what is not. */
const TYPES = {
	'macaddr': [ /^([\da-f]{2}:){5}[\da-f]{2}$/i, () => _('valid MAC address') ],
	'portrange': [ /^\d{1,5}(-\d{1,5})?$/, () => _('valid port or port range (port1-port2)') ],
	'or(ipaddr("nomask"),cidr)': [ /^(\d+(\.\d+){3}(\/\d{1,2})?|[\da-f]*:[\da-f:]*(\/\d{1,3})?)$/i, () => _('valid IP address or prefix') ]
};

function check(datatype, value) {
	const type = TYPES[datatype];
	const range = /^range\((\d+),(\d+)\)$/.exec(datatype ?? '');

	if (range && !(/^\d+$/.test(value) && +value >= +range[1] && +value <= +range[2]))
		return _('value between %d and %d').format(range[1], range[2]);

	if (type && !type[0].test(value))
		return type[1]();

	return true;
}

const Option = baseclass.extend({
	__init__(section, name, title, description) {
		Object.assign(this, { section, name, title, description, rmempty: true });
	},

	get id() {
		return 'cbid.%s.%s.%s'.format(this.section.map.config, this.section.name, this.name);
	},

	render() {
		const widget = this.widget(uci.get(this.section.map.config, this.section.name, this.name) ?? this.default ?? '');

		this.error = E('div', { 'class': 'cbi-value-error', 'role': 'alert' });

		return E('div', { 'class': 'cbi-value', 'data-name': this.name }, [
			E('label', { 'class': 'cbi-value-title', 'for': 'widget.' + this.id }, [ this.title ]),
			E('div', { 'class': 'cbi-value-field' }, [ widget, this.error, E('div', { 'class': 'cbi-value-description' }, this.description) ])
		]);
	},

	/* Throws when the value is not allowed. */
	parse() {
		const value = this.value();
		const config = this.section.map.config;
		const wrong = [ value === '' ? true : check(this.datatype, value), this.validate?.(this.section.name, value) ?? true ].find((found) => found !== true);

		this.error.textContent = wrong ?? '';

		if (wrong)
			throw new TypeError('%s: %s'.format(this.title, wrong));

		if (value === '' || (this.rmempty && value === this.default))
			uci.unset(config, this.section.name, this.name);
		else if (value !== uci.get(config, this.section.name, this.name))
			uci.set(config, this.section.name, this.name, value);
	}
});

const Value = Option.extend({
	widget(value) {
		this.input = E('input', {
			'id': 'widget.' + this.id,
			'class': 'cbi-input-text',
			'type': 'text',
			'value': value,
			'placeholder': this.placeholder,
			'disabled': this.section.map.readonly || null
		});

		return this.input;
	},

	value() {
		return this.input.value.trim();
	}
});

const Flag = Option.extend({
	widget(value) {
		this.input = E('input', {
			'id': 'widget.' + this.id,
			'type': 'checkbox',
			'checked': value == '1' ? true : null,
			'disabled': this.section.map.readonly || null
		});

		return this.input;
	},

	value() {
		return this.input.checked ? '1' : '0';
	}
});

const ListValue = Option.extend({
	widget(value) {
		this.input = E('select', {
			'id': 'widget.' + this.id,
			'class': 'cbi-input-select',
			'disabled': this.section.map.readonly || null
		}, (this.choices ?? []).map(([ key, text ]) => E('option', { 'value': key, 'selected': key == value ? true : null }, [ text ])));

		return this.input;
	},

	/* With arguments one more choice, as in LuCI; without, what is chosen. */
	value(key, text) {
		if (key == null)
			return this.input.value;

		(this.choices ??= []).push([ key, text ]);
	}
});

/* What is computed for a cell of a grid. */
const DummyValue = Option.extend({});

const NamedSection = baseclass.extend({
	__init__(map, name, type) {
		Object.assign(this, { map, name, type, tabs: [], options: [] });
	},

	tab(name, title) {
		this.tabs.push({ name, title, options: [] });
	},

	taboption(tab, Kind, ...values) {
		const option = new Kind(this, ...values);

		this.options.push(option);
		this.tabs.find((one) => one.name == tab).options.push(option);

		return option;
	},

	render() {
		const panes = this.tabs.map((tab) => E('div', { 'data-tab': tab.name }, tab.options.map((option) => option.render())));
		const heads = this.tabs.map((tab, at) => E('li', { 'data-tab': tab.name }, [ E('a', { 'href': '#', 'click': (event) => {
			event.preventDefault();
			show(at);
		} }, [ tab.title ]) ]));

		function show(chosen) {
			panes.forEach((pane, at) => {
				pane.style.display = at == chosen ? '' : 'none';
				heads[at].className = at == chosen ? 'cbi-tab' : 'cbi-tab-disabled';
			});
		}

		show(0);

		return E('div', { 'class': 'cbi-section' }, [ E('ul', { 'class': 'cbi-tabmenu' }, heads), ...panes ]);
	}
});

/* Sections of one type, anonymous ones too: a row each, edited in a dialog. */
const GridSection = baseclass.extend({
	__init__(map, type, title, description) {
		Object.assign(this, { map, type, title, description, columns: [], options: [] });
	},

	option(Kind, ...values) {
		const option = new Kind(this, ...values);

		this.columns.push(option);

		return option;
	},

	/* Text is HTML, as in LuCI; textvalue() may also make a node. */
	text(option, name) {
		if (option.textvalue)
			return option.textvalue(name);

		const value = uci.get(this.map.config, name, option.name) ?? option.default ?? '';

		return option instanceof Flag ? (value == '1' ? _('Yes') : _('No')) : '%h'.format(value);
	},

	/* A value of the dialog that is open. */
	formvalue(name, option) {
		return this.columns.find((column) => column.name == option).value();
	},

	button(kind, text, click) {
		return E('button', { 'class': 'btn cbi-button cbi-button-' + kind, 'title': text, 'disabled': this.map.readonly || null, 'click': click }, [ text ]);
	},

	row(section, shown) {
		const name = section['.name'];

		return E('tr', { 'class': 'tr cbi-section-table-row', 'data-sid': name }, [
			...shown.map((option) => E('td', { 'class': 'td cbi-value-field', 'data-name': option.name, 'data-title': option.title }, this.text(option, name))),
			E('td', { 'class': 'td cbi-section-table-cell nowrap cbi-section-actions' }, [
				this.button('edit', _('Edit'), () => this.edit(name)), ' ',
				this.button('remove', _('Delete'), () => {
					uci.remove(this.map.config, name);

					return this.map.save(null, true);
				})
			])
		]);
	},

	render() {
		const shown = this.columns.filter((option) => !option.modalonly);
		const sections = uci.sections(this.map.config, this.type);

		this.node ??= E('div', { 'class': 'cbi-section cbi-tblsection', 'id': 'cbi-%s-%s'.format(this.map.config, this.type) });
		this.node.replaceChildren(E('h3', {}, [ this.title ]), E('div', { 'class': 'cbi-section-descr' }, [ this.description ]),
			E('table', { 'class': 'table cbi-section-table' }, [
				E('tr', { 'class': 'tr table-titles cbi-section-table-titles' }, [
					...shown.map((option) => E('th', { 'class': 'th cbi-section-table-cell' }, [ option.title ])), E('th', { 'class': 'th' })
				]),
				...sections.map((section) => this.row(section, shown)),
				...(sections.length ? [] : [ E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td', 'colspan': shown.length + 1 }, [ _('This section contains no values yet') ]) ]) ])
			]),
			E('div', { 'class': 'cbi-section-create cbi-tblsection-create' }, [
				this.button('add', this.addbtntitle ?? _('Add'), () => this.edit(uci.add(this.map.config, this.type), true))
			]));

		return this.node;
	},

	/* Dismissing the dialog of a section that was just added takes it away again. */
	edit(name, added) {
		const options = this.columns.filter((option) => option.modalonly !== false);

		this.name = name;
		ui.showModal(this.modaltitle, [
			E('div', { 'class': 'cbi-section' }, options.map((option) => option.render())),
			E('div', { 'class': 'button-row right' }, [
				E('button', { 'class': 'btn cbi-button', 'click': () => {
					ui.hideModal();

					if (added) {
						uci.remove(this.map.config, name);
						this.render();
					}
				} }, [ _('Dismiss') ]), ' ',
				E('button', { 'class': 'btn cbi-button cbi-button-positive important', 'click': () => {
					const wrong = options.filter((option) => {
						try {
							option.parse();
						}
						catch {
							return true;
						}
					});

					if (!wrong.length) {
						ui.hideModal();
						this.render();
					}
				} }, [ _('Save') ])
			])
		], 'cbi-modal');
	}
});

const Map_ = baseclass.extend({
	__init__(config, title, description) {
		Object.assign(this, { config, title, description, sections: [], readonly: !L.hasViewPermission() });
	},

	section(Kind, ...values) {
		const section = new Kind(this, ...values);

		this.sections.push(section);

		return section;
	},

	async render() {
		await uci.load(this.config);
		this.node = E('div', { 'class': 'cbi-map', 'id': 'cbi-' + this.config });
		this.node.map = this;
		this.draw();

		return this.node;
	},

	draw() {
		this.node.replaceChildren(E('h2', {}, [ this.title ]), E('div', { 'class': 'cbi-map-descr' }, [ this.description ]),
			...this.sections.map((section) => section.render()));
	},

	/* check: called when all fields are right, may throw. silent: without a dialog of what is wrong. */
	async save(check, silent) {
		const wrong = [];

		for (const section of this.sections)
			for (const option of section.options) {
				try {
					option.parse();
				}
				catch (error) {
					wrong.push(error);
				}
			}

		if (!wrong.length)
			await Promise.resolve().then(check).catch((error) => wrong.push(error));

		if (wrong.length) {
			if (!silent)
				ui.showModal(_('Save error'), [ ...wrong.map((error) => E('p', {}, [ error.message ])),
					E('div', { 'class': 'right' }, [ E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Dismiss') ]) ]) ]);

			throw wrong[0];
		}

		await uci.save();
		await ui.changes.init();
		this.draw();
	},

	reset() {
		this.draw();
	}
});

return baseclass.extend({ Map: Map_, NamedSection, GridSection, Value, ListValue, DummyValue, Flag });
