// Each pod that made a picture gets a colour, in the order in which they first answered,
// so that a reload gives the same ones.

const COUNT = 10;

export class PodColours {
  #numbers = new Map();

  update(shots) {
    const done = shots.filter((shot) => shot.state === "done" && shot.pod);
    done.sort((a, b) => a.ended - b.ended);
    this.#numbers = new Map();
    for (const { pod } of done) {
      if (!this.#numbers.has(pod)) this.#numbers.set(pod, this.#numbers.size % COUNT);
    }
  }

  // The value of the data-pod attribute; the style sheet knows the colour.
  of(pod) {
    return this.#numbers.has(pod) ? String(this.#numbers.get(pod)) : "none";
  }
}
