// SPDX-License-Identifier: GPL-2.0-only
/* Forms on a UCI package: one named section with tabs of flags and values. */
'use strict';
'require baseclass';
'require uci';
'require ui';

function check(datatype, value) {
	const range = /^range\((\d+),(\d+)\)$/.exec(datatype ?? '');

	if (range && !(/^\d+$/.test(value) && +value >= +range[1] && +value <= +range[2]))
		return _('value between %d and %d').format(range[1], range[2]);

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

	async save() {
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

		if (wrong.length) {
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

return baseclass.extend({ Map: Map_, NamedSection, Value, Flag });
