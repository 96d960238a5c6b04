//! Measures several subjects in turn, round by round, so that a drifting machine slows all alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rounds; medians over them are reported.
const ROUNDS: usize = 25;

/// How long one subject runs in one round.
const SLICE: Duration = Duration::from_millis(40);

/// Something that can be done again and again.
pub struct Subject<'a> {
    name: &'static str,
    run: Box<dyn FnMut() + 'a>,
    iterations: u32,
    samples: Vec<f64>,
}

impl<'a> Subject<'a> {
    /// `run` is the work; what it returns is kept from the optimiser.
    pub fn new<T>(name: &'static str, mut run: impl FnMut() -> T + 'a) -> Self {
        let run = Box::new(move || {
            black_box(run());
        });
        Self { name, run, iterations: 0, samples: Vec::new() }
    }

    fn calibrate(&mut self) {
        let started = Instant::now();
        let mut iterations = 0_u32;
        while started.elapsed() < SLICE {
            (self.run)();
            iterations += 1;
        }
        self.iterations = iterations.max(1);
    }

    fn sample(&mut self) {
        let started = Instant::now();
        for _ in 0..self.iterations {
            (self.run)();
        }
        self.samples.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(self.iterations));
    }
}

/// Median times in microseconds, in the order of `subjects`.
pub fn measure(mut subjects: Vec<Subject<'_>>) -> Vec<(&'static str, f64)> {
    for subject in &mut subjects {
        subject.calibrate();
    }
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            subject.sample();
        }
    }
    subjects.into_iter().map(|mut subject| (subject.name, median(&mut subject.samples))).collect()
}

/// The middle of `samples`.
///
/// # Panics
/// If there are none.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
