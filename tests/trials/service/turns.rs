//! Threads that take turns: one runs at a time, and which is next a seed decides, so that the same seed
//! runs everything in the same order.

use std::sync::{Condvar, Mutex};

use crate::trials::concurrency::Chance;

/// Who waits at a step, who runs, who has ended.
pub struct Turns {
    state: Mutex<State>,
    changed: Condvar,
    /// An actor may have several threads; one of them takes its steps at a time.
    steps: Vec<Mutex<()>>,
}

struct State {
    chance: Chance,
    actors: Vec<Actor>,
    running: Option<usize>,
    /// The actors in the order of their turns, as a hash.
    order: blake3::Hasher,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Actor {
    Running,
    Waiting,
    Ended,
}

impl State {
    /// Once all who have not ended wait, one of them is next.
    fn choose(&mut self) {
        let waiting = |(n, actor): (usize, &Actor)| (*actor == Actor::Waiting).then_some(n);
        let waiting: Vec<usize> = self.actors.iter().enumerate().filter_map(waiting).collect();
        let is_settled = !self.actors.contains(&Actor::Running);
        if self.running.is_none() && is_settled && !waiting.is_empty() {
            let next = waiting[self.chance.below(waiting.len() as u64) as usize];
            self.order.update(&[next as u8]);
            self.running = Some(next);
        }
    }
}

impl Turns {
    pub fn new(actors: usize, seed: u64) -> Turns {
        Turns {
            state: Mutex::new(State {
                chance: Chance(seed),
                actors: vec![Actor::Running; actors],
                running: None,
                order: blake3::Hasher::new(),
            }),
            changed: Condvar::new(),
            steps: (0..actors).map(|_| Mutex::default()).collect(),
        }
    }

    /// Ends the turn of an actor, and waits for its next one.
    pub fn step(&self, actor: usize) {
        let _alone = self.steps[actor].lock().unwrap();
        let mut state = self.state.lock().unwrap();
        state.actors[actor] = Actor::Waiting;
        state.running = state.running.filter(|running| *running != actor);
        state.choose();
        self.changed.notify_all();
        while state.running != Some(actor) {
            state = self.changed.wait(state).unwrap();
        }
        state.actors[actor] = Actor::Running;
        // Until its next step it is the only one that runs.
    }

    /// An actor takes no more turns.
    pub fn end(&self, actor: usize) {
        let mut state = self.state.lock().unwrap();
        state.actors[actor] = Actor::Ended;
        state.running = state.running.filter(|running| *running != actor);
        state.choose();
        self.changed.notify_all();
    }

    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.state.lock().unwrap().chance.below(end)
    }

    /// What tells one order from another.
    pub fn order(&self) -> [u8; 32] {
        *self.state.lock().unwrap().order.finalize().as_bytes()
    }
}
