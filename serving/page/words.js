// Numbers and sentences: what is forecast, what was counted, how old it is. Elements do not belong here.

import { clocksOf, dateOf, dayOf, daysFrom, laterDay, localOf, nameOf, nearnessOf } from "./time.js";

const LATE_DAYS = 3;

export const STATES = {
  active: "counting",
  new: "new, counting for less than four weeks",
  silent: "silent, counted nothing for three days or more",
  gone: "gone, not seen for four weeks or more",
};

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

export const inWhole = (number) => whole.format(number);
export const inTenths = (number) => fine.format(number);

/** As exact as a forecast can be read: tens from a hundred on, hundreds from ten thousand on. */
export function about(number) {
  const step = number < 100 ? 1 : number < 10_000 ? 10 : 100;
  return whole.format(Math.round(number / step) * step);
}

export const bikes = (number) => `${whole.format(number)} ${number === 1 ? "bike" : "bikes"}`;

/** Each day of a forecast: its total, and its busiest hour. */
export function daysOf(forecast) {
  const clocks = clocksOf(forecast.hours.map((hour) => hour.at));
  const days = new Map();
  forecast.hours.forEach((hour, index) => {
    const day = dayOf(hour.at);
    const sum = days.get(day) ?? { day, total: 0, max: -1 };
    sum.total += hour.predicted_count;
    const busier = hour.predicted_count > sum.max;
    if (busier) Object.assign(sum, { max: hour.predicted_count, clock: clocks[index], at: hour.at });
    days.set(day, sum);
  });
  return [...days.values()];
}

/** The day that people ask for first: tomorrow, else today, else the first there is. */
export function firstDayOf(days, today) {
  const wanted = [laterDay(today, 1), today];
  return days.find(({ day }) => day === wanted[0]) ?? days.find(({ day }) => day === wanted[1]) ?? days[0];
}

export function summaryOf({ day, total, max, clock }, today) {
  const nearness = nearnessOf(day, today);
  const when = nearness ? `${nearness}, ${nameOf(day, today)}` : nameOf(day, today);
  return `${when}: about ${about(total)} bikes, busiest at ${clock} with about ${about(max)}.`;
}

export function withoutForecast(counter) {
  return `There is no forecast: ${counter.counter_name} has counted nothing for four weeks.`;
}

/** How the last days went; nothing where nothing was counted. */
export function lastDaysOf(counts) {
  const counted = counts.hours.filter((hour) => hour.bike_count !== null);
  if (!counted.length) return "Nothing was counted in the last week.";
  const total = counted.reduce((sum, hour) => sum + hour.bike_count, 0);
  const both = counted.filter((hour) => hour.predicted_count !== null);
  const off = both.reduce((sum, hour) => sum + Math.abs(hour.bike_count - hour.predicted_count), 0) / both.length;
  const totals = `Last week: ${bikes(total)} in ${whole.format(counted.length)} counted hours`;
  if (!both.length) return `${totals}.`;
  const [rate, error] = [inTenths(total / counted.length), inTenths(off)];
  return `${totals}, ${rate} an hour; the forecast of the day before was off by ${error} an hour on average.`;
}

export function ageOf(day, today) {
  const days = Math.max(0, daysFrom(day, today));
  if (days === 0) return "up to now";
  return days === 1 ? "1 day old" : `${whole.format(days)} days old`;
}

/** What people should know before they believe the numbers. */
export function staleNoticeOf(day, today) {
  if (daysFrom(day, today) <= LATE_DAYS) return [];
  return [`No newer counts have arrived since ${dateOf(day)}: every forecast day here has passed.`];
}

export function stateOf(counter) {
  return STATES[counter.state] ?? counter.state;
}

export function shortCountOf(counter) {
  return counter.last_count === null ? "" : bikes(counter.last_count);
}

export function lastCountOf(counter) {
  return counter.last_count === null ? "no count in ten weeks" : `${bikes(counter.last_count)} in its last hour`;
}

export function lastCountedOf(counter, zone, today) {
  if (counter.last_counted_at === null) return stateOf(counter);
  const { day, clock } = localOf(Date.parse(counter.last_counted_at), zone);
  return `${stateOf(counter)}; last count ${nameOf(day, today)}, ${clock}: ${bikes(counter.last_count)}`;
}

export const familyOf = (family) => family.replaceAll("_", " ");
