//! Pancake sorting as a stateright model: pancake N [THREADS]. Prints the distinct states and all generated ones.
use stateright::{Checker, Model, Property};

const MOST: usize = 16;

struct Pancake {
    items: usize,
}

impl Model for Pancake {
    type State = [u8; MOST];
    type Action = usize;

    fn init_states(&self) -> Vec<Self::State> {
        vec![std::array::from_fn(|i| i as u8)]
    }

    fn actions(&self, _: &Self::State, actions: &mut Vec<usize>) {
        actions.extend(2..=self.items);
    }

    fn next_state(&self, state: &Self::State, count: usize) -> Option<Self::State> {
        let mut next = *state;
        next[..count].reverse();
        Some(next)
    }

    // A search without a property would end at once.
    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("in range", |_, state: &[u8; MOST]| (state[0] as usize) < MOST)]
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (items, threads) = match numbers[..] {
        [items] if (2..=MOST).contains(&items) => (items, 1),
        [items, threads] if (2..=MOST).contains(&items) && threads > 0 => (items, threads),
        _ => {
            eprintln!("usage: pancake N [THREADS]      2 <= N <= 16");
            std::process::exit(2);
        }
    };
    let checker = Pancake { items }.checker().threads(threads).spawn_bfs().join();
    println!("distinct {} generated {}", checker.unique_state_count(), checker.state_count());
}
