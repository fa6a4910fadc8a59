//! What is the fewest pieces that cover these bytes?
//!
//! The vocabulary is a tree of bytes; every single byte is a piece as well, so that there always is
//! a cover. No piece is longer than 128 bytes, which bounds the work for each byte.

/// Opens a word, closes one; says that its first letter, that all of it was in capitals. No text
/// holds these bytes.
pub(super) const BOW: u8 = 0xF8;
pub(super) const EOW: u8 = 0xF9;
pub(super) const SHIFT: u8 = 0xFA;
pub(super) const CAPS: u8 = 0xFB;

pub(super) struct Pieces {
    nodes: Vec<Node>,
    /// The byte that leads to each node, beside it: the children of a node stand together, in order.
    labels: Vec<u8>,
    /// The children of the root by their byte, 0 for none.
    heads: [u32; 256],
}

#[derive(Clone, Copy, Default)]
struct Node {
    children: u32,
    count: u16,
    is_piece: bool,
}

impl Pieces {
    /// Reads the pieces in order, each as the length of what it shares with the one before, the
    /// length of the rest, and the rest.
    pub(super) fn read(coded: &[u8]) -> Self {
        let (mut bytes, mut ends) = (Vec::with_capacity(coded.len() * 3), vec![0]);
        let mut rest = coded;
        while let [same, more, after @ ..] = rest {
            let before = ends[ends.len().saturating_sub(2)];
            bytes.extend_from_within(before..before + usize::from(*same));
            let (own, after) = after.split_at(usize::from(*more));
            bytes.extend_from_slice(own);
            ends.push(bytes.len());
            rest = after;
        }
        let pieces: Vec<&[u8]> = ends.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        let mut tree = Self { nodes: vec![Node::default()], labels: vec![0], heads: [0; 256] };
        tree.grow(&pieces);
        tree
    }

    fn grow(&mut self, pieces: &[&[u8]]) {
        // The pieces below each node; nodes are made a level at a time.
        let mut below = vec![(0, pieces.len(), 0)];
        let mut node = 0;
        while node < self.nodes.len() {
            let (start, end, depth) = below[node];
            let is_piece = pieces[start].len() == depth;
            let mut at = start + usize::from(is_piece);
            let children = self.nodes.len();
            while at < end {
                let label = pieces[at][depth];
                let same = pieces[at..end].iter().take_while(|piece| piece[depth] == label).count();
                self.nodes.push(Node::default());
                self.labels.push(label);
                below.push((at, at + same, depth + 1));
                at += same;
            }
            let count = (self.nodes.len() - children) as u16;
            self.nodes[node] = Node { children: children as u32, count, is_piece };
            node += 1;
        }
        let Node { children, count, .. } = self.nodes[0];
        for child in children..children + u32::from(count) {
            self.heads[usize::from(self.labels[child as usize])] = child;
        }
    }

    /// The fewest pieces that cover `text`; `best` is room to work in.
    pub(super) fn cover(&self, text: &[u8], best: &mut Vec<u32>) -> u64 {
        best.clear();
        best.resize(text.len() + 1, u32::MAX);
        best[0] = 0;
        for (start, &first) in text.iter().enumerate() {
            let cost = best[start] + 1;
            best[start + 1] = best[start + 1].min(cost);
            let mut node = self.heads[usize::from(first)];
            for (end, &byte) in text.iter().enumerate().skip(start + 1) {
                if node == 0 {
                    break;
                }
                node = self.child(node, byte);
                if self.nodes[node as usize].is_piece {
                    best[end + 1] = best[end + 1].min(cost);
                }
            }
        }
        u64::from(best[text.len()])
    }

    fn child(&self, node: u32, label: u8) -> u32 {
        let Node { children, count, .. } = self.nodes[node as usize];
        let labels = &self.labels[children as usize..][..usize::from(count)];
        let at = if count <= 8 {
            labels.iter().position(|own| *own == label)
        } else {
            labels.binary_search(&label).ok()
        };
        at.map_or(0, |at| children + at as u32)
    }
}
