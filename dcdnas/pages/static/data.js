// A run's trials as sent by the server, with accessors shared by the charts and the table.
const BEFORE = ["number", "state"], AFTER = ["epochs", "seconds", "operator", "dynamic", "layers", "reason", "mix"];
const NAMES = { number: "Trial", epochs: "Epochs", seconds: "Training time", dynamic: "Dynamic layers" };

export class Trials {
  constructor(sent) {
    this.rows = [];
    this.take(sent);
  }

  // Takes over new facts and changed rows; a row's index is its trial number.
  take(sent) {
    const { rows, ...facts } = sent;
    Object.assign(this, facts);
    const [primary, ...others] = this.goals.map((goal) => goal.name);
    this.columns = Object.fromEntries([...BEFORE, primary, ...AFTER, ...others, ...this.metrics].map((name, i) => [name, i]));
    this.primary = this.goals[0];
    for (const row of rows) this.rows[row[0]] = row;
    this.onFront = new Set(this.front);
  }

  get(row, column) { return row[this.columns[column]]; }
  state(row) { return this.states[row[1]]; }
  note(row) { return this.notes[row[0]] || [false, ""]; }
  operator(row) { return this.operators[row[5]]; }
  scored(row) { return row[2] !== null && row[1] < 2; }

  within(row) {
    return Object.entries(this.budgets).every(([metric, [low, high]]) => { const v = this.get(row, metric); return v >= low && v <= high; });
  }

  // The epochs that a row's network was trained for, to end a phrase; empty when the run's epochs are unknown.
  epochs(row) {
    if (!this.asked) return "";
    const all = row[1] === 0 ? row[3] : this.asked, of = row[1] === 0 ? "" : `${row[3]} of `;
    return ` after ${of}${all} epoch${all === 1 ? "" : "s"}`;
  }

  goal(column) { return this.goals.find((goal) => goal.name === column); }
  axes() { return [...this.goals.map((goal) => goal.name), ...this.metrics, "seconds", ...(this.asked ? ["epochs"] : []), "dynamic", "number"]; }
  axisTitle(column) { return this.axisTitles[column] || this.title(column); }
  title(column) { return this.goal(column)?.title || this.titles[column] || NAMES[column] || column; }
}
