// Reports at the end of a run with FAULTS=1 which faults the scenarios noticed.

export default class {
  #unnoticed = [];
  #noticed = 0;

  onTestEnd(test, result) {
    if (result.status === "failed") this.#noticed += 1;
    else this.#unnoticed.push(`${test.title} (${result.status})`);
  }

  onEnd() {
    console.log(`\n${this.#noticed} of ${this.#noticed + this.#unnoticed.length} faults were noticed.`);
    this.#unnoticed.forEach(title => console.log(`  not noticed: ${title}`));
  }
}
