// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require natflow.show as show';

/* The rate over the last minutes, one area for each engine on top of the other. */

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 160;
const el = show.el;

function svg(tag, attributes) {
	const node = document.createElementNS(SVG, tag);

	for (const name in attributes)
		node.setAttribute(name, attributes[name]);

	return node;
}

/* The next round number above a rate in bytes per second: 1, 2 or 5 times a power of ten, in bits. */
function ceiling(rate) {
	const bits = Math.max(rate * 8, 1000);
	const power = Math.pow(10, Math.floor(Math.log10(bits)));

	return [ 1, 2, 5, 10 ].map((step) => step * power).find((top) => top >= bits) / 8;
}

const Rate = baseclass.extend({
	/* series: [{ name, label }], drawn from the bottom up; seconds: how much time is shown. */
	__init__(series, seconds) {
		this.series = series;
		this.seconds = seconds;
		this.samples = [];
		this.build();
	},

	build() {
		const picture = svg('svg', {
			'viewBox': '0 0 %d %d'.format(WIDTH, HEIGHT),
			'preserveAspectRatio': 'none',
			'role': 'img'
		});

		for (const part of [ 0.25, 0.5, 0.75 ])
			picture.appendChild(svg('line', {
				'class': 'nf-graph-grid', 'x1': 0, 'x2': WIDTH, 'y1': HEIGHT * part, 'y2': HEIGHT * part
			}));

		this.areas = this.series.map((one) => picture.appendChild(svg('path', { 'class': 'nf-area nf-area-%s'.format(one.name) })));
		this.picture = picture;
		this.top = el('span', { 'class': 'nf-graph-top' });
		this.half = el('span', { 'class': 'nf-graph-half' });
		this.cells = {};

		const legend = el('table', { 'class': 'nf-figures' },
			el('thead', {}, el('tr', {},
				el('th', { 'scope': 'col' }, _('Engine')),
				[ _('Now'), _('Average'), _('Peak') ].map((label) => el('th', { 'scope': 'col', 'class': 'nf-number' }, label)))),
			el('tbody', {}, [ ...this.series ].reverse().map((one) => this.figures(one.name, one.label)),
				this.figures('total', _('Total'))));

		this.node = el('div', { 'class': 'nf-graph' },
			el('div', { 'class': 'nf-graph-plot' }, picture, this.top, this.half,
				el('span', { 'class': 'nf-graph-since' }, _('%d min ago').format(this.seconds / 60)),
				el('span', { 'class': 'nf-graph-now' }, _('now'))),
			legend);
	},

	figures(name, label) {
		const cells = [ 'now', 'average', 'peak' ].map((which) => el('td', { 'class': 'nf-number', 'data-figure': '%s-%s'.format(name, which) }, '–'));

		this.cells[name] = cells;

		return el('tr', {}, el('th', { 'scope': 'row' }, name == 'total' ? '' : show.icon(name), name == 'total' ? '' : ' ', label), cells);
	},

	/* One sample: its time and how long it was measured, in seconds, and the rate in bytes per second for each
	   series. */
	add(time, measured, rates) {
		this.samples.push({ time, measured, rates, total: this.series.reduce((sum, one) => sum + rates[one.name], 0) });
		this.samples = this.samples.filter((sample) => sample.time > time - this.seconds - 5);
		this.draw(time);
	},

	draw(now) {
		const samples = this.samples;
		const top = ceiling(Math.max(...samples.map((sample) => sample.total)));
		const at = (time) => (WIDTH * (1 - (now - time) / this.seconds)).toFixed(1);
		/* The first one is as wide as it was measured, so that the very first can be seen. */
		const outline = (heights) => [ '%s,%s'.format(at(samples[0].time - samples[0].measured), y(heights[0])),
			...samples.map((sample, number) => '%s,%s'.format(at(sample.time), y(heights[number]))) ];
		const y = (rate) => (HEIGHT * (1 - rate / top)).toFixed(1);
		const below = samples.map(() => 0);

		this.series.forEach((one, number) => {
			const lower = outline(below);

			samples.forEach((sample, index) => { below[index] += sample.rates[one.name] });

			const upper = outline(below);

			this.areas[number].setAttribute('d', 'M' + upper.concat(lower.reverse()).join('L') + 'Z');
		});

		show.text(this.top, show.rate(top));
		show.text(this.half, show.rate(top / 2));

		this.series.forEach((one) => this.write(one.name, samples.map((sample) => sample.rates[one.name])));
		this.write('total', samples.map((sample) => sample.total));
		this.picture.setAttribute('aria-label', _('Rate of forwarded traffic: now %s, peak %s').format(
			this.cells.total[0].textContent, this.cells.total[2].textContent));
	},

	write(name, rates) {
		const sum = rates.reduce((total, rate) => total + rate, 0);

		[ rates[rates.length - 1], sum / rates.length, Math.max(...rates) ].forEach((rate, at) => {
			show.text(this.cells[name][at], show.rate(rate));
		});
	}
});

return baseclass.extend({ Rate: Rate });
