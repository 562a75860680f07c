//! Which counts there are, in ascending order, and where in the list of entries each of them ends.

/// Counts with at least one entry, linked in ascending order. A number names a count for as long as it has an entry.
#[derive(Debug)]
pub(crate) struct Counts {
    nodes: Vec<Node>,
    lowest: u32,
    free: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    count: u64,
    /// How many entries have this count.
    entries: u32,
    /// The entry that came to this count last.
    last_slot: u32,
    lower: u32,
    higher: u32,
}

const NIL: u32 = u32::MAX;

impl Default for Counts {
    fn default() -> Self {
        Self { nodes: vec![], lowest: NIL, free: NIL }
    }
}

impl Counts {
    pub(crate) fn count(&self, number: u32) -> u64 {
        self.nodes[number as usize].count
    }

    /// Gives a new entry a count that is hardly above the lowest one; answers with the count's number and the entry
    /// behind which the new one belongs.
    pub(crate) fn enter(&mut self, count: u64, slot: u32) -> (u32, Option<u32>) {
        let (mut lower, mut number) = (NIL, self.lowest);
        while number != NIL && self.nodes[number as usize].count < count {
            (lower, number) = (number, self.nodes[number as usize].higher);
        }
        let anchor = if number != NIL && self.count(number) == count { number } else { lower };
        let anchor_slot = (anchor != NIL).then(|| self.nodes[anchor as usize].last_slot);
        (self.enter_above(lower, count, slot), anchor_slot)
    }

    /// Gives a new entry a count, or the `highest` one where that is more.
    pub(crate) fn enter_last(&mut self, highest: Option<u32>, count: u64, slot: u32) -> u32 {
        let Some(highest) = highest else { return self.enter_above(NIL, count, slot) };
        let node = &mut self.nodes[highest as usize];
        if count > node.count {
            return self.enter_above(highest, count, slot);
        }
        node.entries += 1;
        node.last_slot = slot;
        highest
    }

    /// Gives an entry one count more than that of `number`; the caller takes it out of the old count afterwards.
    /// Answers with the number of the new count and the entry behind which this one belongs.
    pub(crate) fn enter_next(&mut self, number: u32, slot: u32) -> (u32, u32) {
        let Node { count, higher, last_slot, .. } = self.nodes[number as usize];
        let has_next = higher != NIL && self.count(higher) == count + 1;
        let anchor = if has_next { self.nodes[higher as usize].last_slot } else { last_slot };
        (self.enter_above(number, count + 1, slot), anchor)
    }

    /// Takes an entry out of a count; `colder` is (or was) its neighbour in the list.
    pub(crate) fn leave(&mut self, number: u32, slot: u32, colder: Option<u32>) {
        let node = &mut self.nodes[number as usize];
        node.entries -= 1;
        if node.entries > 0 {
            if node.last_slot == slot {
                node.last_slot = colder.unwrap_or(NIL);
            }
            return;
        }
        let Node { lower, higher, .. } = *node;
        node.higher = self.free;
        self.free = number;
        self.link(lower, higher);
    }

    /// The count right above `lower` (the lowest where that is none), made if it isn't there, with one entry more.
    fn enter_above(&mut self, lower: u32, count: u64, slot: u32) -> u32 {
        let higher = if lower == NIL { self.lowest } else { self.nodes[lower as usize].higher };
        if higher != NIL && self.nodes[higher as usize].count == count {
            let node = &mut self.nodes[higher as usize];
            node.entries += 1;
            node.last_slot = slot;
            return higher;
        }
        let number = self.allocate(Node { count, entries: 1, last_slot: slot, lower: NIL, higher: NIL });
        self.link(lower, number);
        self.link(number, higher);
        number
    }

    fn allocate(&mut self, node: Node) -> u32 {
        if self.free == NIL {
            self.nodes.push(node);
            return self.nodes.len() as u32 - 1;
        }
        let number = self.free;
        self.free = self.nodes[number as usize].higher;
        self.nodes[number as usize] = node;
        number
    }

    fn link(&mut self, lower: u32, higher: u32) {
        match lower {
            NIL => self.lowest = higher,
            lower => self.nodes[lower as usize].higher = higher,
        }
        if higher != NIL {
            self.nodes[higher as usize].lower = lower;
        }
    }
}
