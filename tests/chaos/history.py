"""Judges what clients were told against what really ran. Knows nothing of how Callboard works."""

import collections

AT_MOST_ONCE = ("once", "keyed", "later")
DELAY_MS = 500
# What may become of a call when things break, beside its value.
ALLOWED = {
    "once": {"maybe_executed"},
    "keyed": {"maybe_executed"},
    "later": {"maybe_executed"},
    "again": set(),
    "task": set(),
}


class History:
    def __init__(self):
        self.kinds = {}
        self.submitted_ms = {}
        self.asked = collections.Counter()
        self.answers = collections.defaultdict(list)
        self.runs = collections.defaultdict(list)  # word -> [(position, pid, epoch, ms)]
        self.ended = set()                         # (word, pid)
        self.order = []                            # (X or Y, word, pid, epoch)
        self.problems = []

    def read_client(self, path):
        unanswered = None
        for line in open(path):
            words = line.split()
            if words[0] == "S":
                self.kinds[words[1]] = words[2]
                self.submitted_ms.setdefault(words[1], int(words[3]))
                self.asked[words[1]] += 1
            elif words[0] == "R":
                self.answers[words[1]].append((words[2], words[3]))
            elif words[0] == "E":
                unanswered = int(words[1])
        if unanswered is None:
            self.problems.append(f"{path}: the client did not end in order")
        elif unanswered:
            self.problems.append(f"{path}: {unanswered} calls were never answered")

    def read_executions(self, path):
        for position, line in enumerate(open(path)):
            words = line.split()
            if words[0] == "X":
                self.runs[words[1]].append((position, int(words[2]), int(words[3]), int(words[5])))
                self.order.append(("X", words[1], int(words[2]), int(words[3])))
            else:
                self.ended.add((words[1], int(words[2])))
                self.order.append(("Y", words[1], int(words[2]), 0))

    def judge(self):
        for word, kind in self.kinds.items():
            self.judge_call(word, kind)
        for word in self.runs:
            if word not in self.kinds:
                self.problems.append(f"{word} ran and nobody had asked for it")
        self.judge_order()
        self.judge_overlap()
        return self.problems

    def judge_call(self, word, kind):
        runs = self.runs.get(word, [])
        answers = self.answers.get(word, [])
        if len(answers) != self.asked[word]:
            self.problems.append(f"{word} ({kind}): asked {self.asked[word]} times, "
                                 f"answered {len(answers)} times")
        if kind in AT_MOST_ONCE and len(runs) > 1:
            self.problems.append(f"{word} ({kind}) ran {len(runs)} times: {runs}")
        for code, value in answers:
            if code == "ok":
                if value != word:
                    self.problems.append(f"{word} was told the value {value}")
                if not runs:
                    self.problems.append(f"{word} ({kind}) was told ok and never ran")
            elif code not in ALLOWED[kind]:
                self.problems.append(f"{word} ({kind}) ended with {code}")
        if len({code for code, _ in answers}) > 1:
            self.problems.append(f"{word} ({kind}): answers differ: {answers}")
        if kind == "later":
            for _, _, _, ms in runs:
                if ms < self.submitted_ms[word] + DELAY_MS - 20:
                    self.problems.append(f"{word} began {ms - self.submitted_ms[word]} ms after "
                                         "its submit")

    def judge_order(self):
        """Calls of one client to one serial actor begin for the first time in the order of their
        submits, and all in one life of the actor do. A call whose result died with its worker runs
        again in the next life, behind calls that only the old one has seen."""
        first, in_life, seen = {}, {}, set()
        for what, word, _, epoch in self.order:
            if what != "X" or self.kinds.get(word) not in ("once", "again"):
                continue
            actor, number = word.rsplit(":", 1)
            number = int(number)
            for last, key in ((first, actor), (in_life, (actor, epoch))):
                if last is first and word in seen:
                    continue
                if number < last.get(key, 0):
                    self.problems.append(f"{word} began after number {last[key]} of {actor}")
                last[key] = max(number, last.get(key, 0))
            seen.add(word)

    def judge_overlap(self):
        """A serial actor runs one call at a time in one life; epochs of an actor only rise."""
        running, epochs = {}, {}
        for what, word, pid, epoch in self.order:
            if self.kinds.get(word) not in ("once", "again"):
                continue
            actor = word.rsplit(":", 1)[0]
            if what == "Y":
                if running.get((actor, pid)) == word:
                    del running[(actor, pid)]
                continue
            if (actor, pid) in running:
                self.problems.append(f"{word} began while {running[(actor, pid)]} ran in {pid}")
            running[(actor, pid)] = word
            if epoch < epochs.get(actor, 0):
                self.problems.append(f"{word} began in epoch {epoch} after {epochs[actor]}")
            epochs[actor] = max(epoch, epochs.get(actor, 0))

    def summary(self):
        codes = collections.Counter(code for answers in self.answers.values()
                                    for code, _ in answers)
        return {"calls": sum(self.asked.values()), "executions": sum(map(len, self.runs.values())),
                "answers": dict(codes)}
