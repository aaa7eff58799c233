use recommend::train::{TrainingOrder,lab};
use std::collections::HashMap; use std::io::BufRead;
use model::{ProductId,Timestamp,Zone};
fn main(){
    let args: Vec<String>=std::env::args().collect();
    let until=Timestamp::parse(&args[3],&Zone::UTC).unwrap();
    let mut ids: HashMap<String,u32>=HashMap::new(); let mut cust: HashMap<String,u32>=HashMap::new();
    let mut id=|s:&str| {let n=ids.len() as u32+1; ProductId(*ids.entry(s.to_owned()).or_insert(n))};
    let mut orders=vec![];
    for l in std::io::BufReader::new(std::fs::File::open(&args[1]).unwrap()).lines().skip(1) { let l=l.unwrap(); let f: Vec<&str>=l.split(',').collect();
        let at=Timestamp::parse(f[2],&Zone::UTC).unwrap(); if at>=until {continue}
        let n=cust.len() as u32; let c=*cust.entry(f[1].into()).or_insert(n);
        orders.push(TrainingOrder{customer:Some(c),at,products:f[3].split(' ').map(&mut id).collect()}); }
    let mut carts=vec![];
    for l in std::io::BufReader::new(std::fs::File::open(&args[2]).unwrap()).lines().skip(1) { let l=l.unwrap(); let f: Vec<&str>=l.split(',').collect();
        carts.push(lab::Cart{task:f[1].into(),context:f[4].split(' ').map(&mut id).collect(),targets:f[5].split(' ').map(&mut id).collect()}); }
    lab::run(&orders,&carts,&args[4..]);
}
