//! The bytes of a tail, in blocks of its own.
//!
//! A block is filled by one chunk after the other, and read while it is being filled: what a reader finds in it is
//! split off as a piece. All pieces of a block hold on to the block's reservation, and so does every frame that is made
//! of one, until it is written: what is charged is what is in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use sandbar_base::memory_budget::{Content, Reserved, Use, sent};

/// The smallest block of a body whose length is not known.
const BLOCK_BYTES_MIN: u64 = 4 << 10;

/// The largest block.
const BLOCK_BYTES_MAX: u64 = 64 << 10;

/// Fewer unread bytes than this in a block that is still being filled are copied for their reader, not split off: a
/// piece costs some 60 bytes, and a body may come byte by byte.
const PIECE_BYTES_MIN: usize = 1 << 10;

/// What is kept of a body.
#[derive(Debug)]
pub(super) struct Pieces {
    pieces: VecDeque<Piece>,
    filling: Option<Block>,
    /// Bytes of the body before the first piece, which were dropped.
    dropped_bytes: u64,
    /// Bytes from the first piece on.
    kept_bytes: u64,
    /// How many pieces are chunks that were not copied, and have no reservation.
    lent: usize,
    /// Where the last of these ends in the body.
    lent_end: u64,
    /// Pays for later blocks.
    room: Reserved,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Where the piece ends in the body.
    end: u64,
    /// The reservation of its block; `None` for a chunk that was not copied, which its exchange pays for.
    room: Option<Arc<Reserved>>,
}

#[derive(Debug)]
struct Block {
    bytes: BytesMut,
    room: Arc<Reserved>,
}

impl Block {
    fn spare_bytes(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}

impl Pieces {
    pub(super) const fn new(room: Reserved) -> Self {
        Self { pieces: VecDeque::new(), filling: None, dropped_bytes: 0, kept_bytes: 0, lent: 0, lent_end: 0, room }
    }

    pub(super) const fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    pub(super) const fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// How many pieces there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Bytes that a reader at `position` has not read.
    pub(super) const fn behind(&self, position: u64) -> u64 {
        (self.dropped_bytes + self.kept_bytes).saturating_sub(position)
    }

    /// Whether there is a chunk that was not copied.
    pub(super) const fn has_lent(&self) -> bool {
        self.lent > 0
    }

    /// Copies as much of a chunk as there is room for, and takes that off the chunk. Where only a window is kept,
    /// blocks are no larger than the window.
    pub(super) fn copy_in(&mut self, chunk: &mut Bytes, window_bytes: Option<u64>) {
        while !chunk.is_empty() {
            let Some(block) = self.filling.as_mut() else {
                if !self.begin_block(window_bytes) {
                    return;
                }
                continue;
            };
            let bytes = block.spare_bytes().min(chunk.len());
            block.bytes.extend_from_slice(&chunk[..bytes]);
            chunk.advance(bytes);
            self.kept_bytes += bytes as u64;
            if block.spare_bytes() == 0 {
                self.split_off();
                self.filling = None;
            }
        }
    }

    fn begin_block(&mut self, window_bytes: Option<u64>) -> bool {
        let bytes = match (window_bytes, self.room.bytes()) {
            (Some(window_bytes), _) => window_bytes.clamp(1, BLOCK_BYTES_MAX),
            (None, 0) => self.kept_bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX),
            (None, announced) => announced.min(BLOCK_BYTES_MAX),
        };
        let Some(room) = self.room.draw(bytes) else { return false };
        let bytes = usize::try_from(bytes).unwrap_or(0);
        self.filling = Some(Block { bytes: BytesMut::with_capacity(bytes), room: Arc::new(room) });
        true
    }

    /// Adds a chunk as it is, without copying it.
    pub(super) fn lend(&mut self, chunk: Bytes) {
        self.seal();
        self.kept_bytes += chunk.len() as u64;
        self.lent += 1;
        self.lent_end = self.dropped_bytes + self.kept_bytes;
        self.pieces.push_back(Piece { bytes: chunk, end: self.lent_end, room: None });
    }

    /// From here on only a window is kept: no more memory is set aside, and what is kept is charged as a window.
    pub(super) fn stop_keeping(&mut self) {
        self.seal();
        self.room.shrink_to(0);
        self.room.turn(Use::Windows);
        self.pieces.iter().filter_map(|piece| piece.room.as_ref()).for_each(|room| room.turn(Use::Windows));
    }

    /// Ends the block that is being filled.
    fn seal(&mut self) {
        self.split_off();
        self.filling = None;
    }

    /// Makes a piece of what the block was filled with since its last piece.
    fn split_off(&mut self) {
        let Some(block) = self.filling.as_mut().filter(|block| !block.bytes.is_empty()) else { return };
        let (bytes, room) = (block.bytes.split().freeze(), Some(Arc::clone(&block.room)));
        self.pieces.push_back(Piece { bytes, end: self.dropped_bytes + self.kept_bytes, room });
    }

    /// Drops what a reader at `fastest` has read and the window does not hold. A chunk that was not copied is dropped
    /// once it is read, with all before it: nothing pays for it in the window.
    pub(super) fn trim(&mut self, fastest: u64, window_bytes: u64) {
        while let Some(first) = self.pieces.front()
            && first.end <= fastest
            && (self.kept_bytes > window_bytes || (self.has_lent() && self.lent_end <= fastest))
        {
            self.kept_bytes -= first.end - self.dropped_bytes;
            self.dropped_bytes = first.end;
            self.lent -= usize::from(first.room.is_none());
            self.pieces.pop_front();
        }
    }

    /// The next bytes from `position` on, as one frame; `None` where there are none yet. `whole`: no more will come.
    pub(super) fn at(&mut self, position: u64, whole: bool) -> Option<Bytes> {
        let split_at = self.pieces.back().map_or(self.dropped_bytes, |last| last.end);
        if position >= split_at {
            let block = self.filling.as_ref()?;
            let unread = block.bytes.get(usize::try_from(position - split_at).ok()?..)?;
            if unread.is_empty() {
                return None;
            }
            if unread.len() < PIECE_BYTES_MIN && !whole {
                return Some(Bytes::copy_from_slice(unread));
            }
            self.split_off();
        }
        let piece = &self.pieces[self.pieces.partition_point(|piece| piece.end <= position)];
        let left = usize::try_from(piece.end - position).ok()?;
        let bytes = piece.bytes.slice(piece.bytes.len().checked_sub(left)?..);
        Some(match &piece.room {
            Some(room) => sent(bytes, room),
            None => bytes,
        })
    }

    /// All of the body as one piece, charged as an entry; `None` where there is no room for that. Readers that are not
    /// done read this piece from here on.
    pub(super) fn joined(&mut self) -> Option<Content> {
        self.seal();
        self.room.shrink_to(0);
        if self.pieces.is_empty() {
            return Some(Content::default());
        }
        let whole = match self.as_one_piece() {
            Some(whole) => whole,
            None => self.copied_together()?,
        };
        Some(Content::kept(whole.0, whole.1))
    }

    /// The only piece, if it takes up at least seven eighths of its block.
    fn as_one_piece(&self) -> Option<(Bytes, Arc<Reserved>)> {
        let Some(Piece { bytes, room: Some(room), .. }) = self.pieces.front().filter(|_| self.pieces.len() == 1) else {
            return None;
        };
        let fits = room.bytes() - room.bytes() / 8 <= bytes.len() as u64;
        fits.then(|| {
            room.turn(Use::Entries);
            (bytes.clone(), Arc::clone(room))
        })
    }

    fn copied_together(&mut self) -> Option<(Bytes, Arc<Reserved>)> {
        let room = Arc::new(self.room.others(Use::Entries, self.kept_bytes)?);
        let mut whole = BytesMut::with_capacity(usize::try_from(self.kept_bytes).ok()?);
        // Each piece is freed as soon as it is copied.
        for piece in std::mem::take(&mut self.pieces) {
            whole.extend_from_slice(&piece.bytes);
        }
        let whole = whole.freeze();
        let end = self.dropped_bytes + self.kept_bytes;
        self.pieces.push_back(Piece { bytes: whole.clone(), end, room: Some(Arc::clone(&room)) });
        Some((whole, room))
    }
}
